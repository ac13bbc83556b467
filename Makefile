# make build | demo | check | check-memory | check-windows | check-systems | check-packages | deb | wheel | dist | book | gallery | dll | windows | dist-windows | sim | soak | fuzz | test-the-tester | model | bench | bench-sim | bench-failover | bench-core | bench-instructions | install | install-strip | uninstall | clean
#   sim: plays N seeds from FROM on all cores, at most SECONDS long if that is given, and reports what happened in them.
#   dll: builds the library for Windows into DLL_DIR, with import libraries under all its old names. windows: the programs too.
#        dist-windows: packs all that into one archive. They install mingw-w64 and Debian's Rust if they are needed and missing.
#   check-memory: runs every C program of the tests where valgrind watches its memory.
#   check-windows: tries library, programs and Python wheel in Wine. check-systems: that, and the other systems and byte orders.
#   bench: measures three daemons on two networks in namespaces of its own (needs root); BENCH="..." gives other arguments.
#   bench-core: how long the hot paths take. bench-instructions: counts their instructions; BLESS=1 records them.
#   deb, wheel, dist: Debian packages, wheel and source archive for Python, an archive that builds without a network; into OUT, target/dist.
#   check-packages: installs each of them into an empty place and uses it there. book: web pages of docs/. gallery: docs/gallery.md anew.
#   install: PREFIX (default /usr/local), DESTDIR, and LIBDIR, INCLUDEDIR, SBINDIR, BINDIR, MANDIR, DOCDIR if they differ;
#            SYSTEMD_DIR=/usr/lib/systemd also installs the service. uninstall takes the same settings. After make build it needs no cargo.
#            Debug information goes into files of its own below DEBUGDIR, PREFIX/lib/debug; install-strip leaves it out.
#            PROFILE_DIR=target/debug installs what lies there instead of building.

PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
SBINDIR ?= $(PREFIX)/sbin
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/torc
DEBUGDIR ?= $(PREFIX)/lib/debug
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
SYSTEMD_DIR ?=
SYSUSERS_DIR ?= $(dir $(SYSTEMD_DIR))sysusers.d
TMPFILES_DIR ?= $(dir $(SYSTEMD_DIR))tmpfiles.d

CARGO ?= cargo
INSTALL ?= install
LDCONFIG ?= ldconfig
N ?= 1000
FROM ?= 0
SECONDS ?=

# The version of the client interface, as pkg-config and CMake report it.
API_VERSION = 4.4.0
SONAME = libspread.so.3
REALNAME = libspread.so.3.0.0
# What old link lines and old binaries ask for besides libspread. Programs are linked with libspread itself; for binaries that ask
# for another soname there is a small library of that name, which needs libspread: the loader's cache knows no other names.
ALIASES = libspread-core libtspread libtspread-core
# They look beside themselves too, so that a tree that the cache does not know works as well.
ALIAS_FLAGS = -shared -nostdlib -s -Wl,-z,noexecstack -Wl,--no-as-needed -Wl,-rpath,'$$ORIGIN' -Wl,--enable-new-dtags

# What people read, and the programs they begin with; as they lie in the tree, so that one leads to the other.
DOCUMENTS = README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE bindings/python/README.md $(wildcard docs/*.md docs/*.example docs/pictures/*.svg) \
	$(filter-out %/__pycache__,$(wildcard examples/*.* examples/c/*.c examples/python/*.py))
HEADERS = $(notdir $(wildcard include/*.h))
# The programs beside the daemon; the ones that were built are installed.
TOOLS = $(filter-out spread,$(basename $(notdir $(wildcard src/bin/*.rs))))
PAGES = $(notdir $(wildcard docs/man/*.[1-9]))
# The names that a manual page describes; all but the first become pages that refer to it.
names = $$(sed -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \([A-Za-z_.]*\).*/\1/p' docs/man/$$page)
fill = umask 022 && sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' \
	-e 's|@SBINDIR@|$(SBINDIR)|g' -e 's|@API_VERSION@|$(API_VERSION)|g'

.PHONY: build demo check check-memory check-windows check-systems check-packages deb wheel dist book gallery dll windows dist-windows python-for-archive sim soak fuzz test-the-tester model bench bench-sim bench-failover bench-core bench-instructions install install-strip install-library install-programs install-documents install-service uninstall clean

# Nothing that is built says where it was built.
$(or $(CARGO_TARGET_DIR),target)/release/libspread.so demo wheel dll windows sim bench-sim: export RUSTFLAGS += --remap-path-prefix=$(CURDIR)=/torc \
	--remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo
# Nor does the C that is in a crate.
$(or $(CARGO_TARGET_DIR),target)/release/libspread.so demo wheel dll windows sim bench-sim: export CFLAGS += -ffile-prefix-map=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo

# Only small functions are inlined: the library is a twentieth smaller. At 50 the hot paths of the core would take more instructions.
$(or $(CARGO_TARGET_DIR),target)/release/libspread.so wheel: export RUSTFLAGS += -C llvm-args=-inline-threshold=75

# What is built is there until a source is newer; then cargo is needed.
BUILT = $(or $(CARGO_TARGET_DIR),target)/release/libspread.so
SOURCES = Cargo.toml Cargo.lock build.rs $(shell find src -name '*.rs')

build: $(BUILT)

$(BUILT): $(SOURCES)
	TORC_LINK_ARGUMENTS="$$(packaging/link_arguments.sh)" $(CARGO) build --release --locked
	@touch $@
	@# The texts that go with what is given away; without Python they are not there to be installed.
	@packaging/licences.py > $(@D)/licences.txt || { rm -f $(@D)/licences.txt; echo "licences.txt of the crates inside is not made: packaging/licences.py needs Python 3"; }

demo:
	$(CARGO) run --profile demo --locked --no-default-features --features demo --bin demo

check:
	./tests/check.sh

# Windows programs find the DLL by its own name, and at link time under the names that the old toolkit's libraries had.
WINDOWS = $(shell packaging/cross.sh --target windows)
DLL_DIR ?= $(or $(CARGO_TARGET_DIR),target)/windows
DLL_PROFILE ?= release
DLL_BUILT = $(or $(CARGO_TARGET_DIR),target)/$(WINDOWS)/$(if $(filter dev,$(DLL_PROFILE)),debug,$(DLL_PROFILE))
DLL_NAMES = libspread libspread-core libtspread
DLLTOOL ?= x86_64-w64-mingw32-dlltool
OBJDUMP ?= x86_64-w64-mingw32-objdump
WINDOWS_STRIP ?= x86_64-w64-mingw32-strip
# The benchmark needs network namespaces, and flush_user waits for input and messages at once, which it can on Unix only.
WINDOWS_PROGRAMS = $(filter-out spbench flush_user,spread $(TOOLS))

dll:
	packaging/cross.sh $(WINDOWS) build --profile $(DLL_PROFILE) --locked --lib --no-default-features
	$(install-dll)

# The DLL and the programs, as they were built.
windows:
	packaging/cross.sh $(WINDOWS) build --profile $(DLL_PROFILE) --locked --lib $(WINDOWS_PROGRAMS:%=--bin %)
	$(install-dll)
	for program in $(WINDOWS_PROGRAMS); do \
		$(INSTALL) -m 755 $(DLL_BUILT)/$$program.exe $(DLL_DIR)/$$program.exe || exit 1; \
	done

define install-dll
	$(INSTALL) -d $(DLL_DIR)
	$(INSTALL) -m 644 $(DLL_BUILT)/spread.dll $(HEADERS:%=include/%) $(DLL_DIR)
	{ echo 'LIBRARY spread.dll' && echo EXPORTS && $(OBJDUMP) -p $(DLL_DIR)/spread.dll | \
		awk '/Name Pointer\] Table/ {found = 1; next} found && !NF {exit} found {print $$NF}'; } > $(DLL_DIR)/spread.def
	for name in $(DLL_NAMES); do \
		$(INSTALL) -m 644 $(DLL_BUILT)/libspread.dll.a $(DLL_DIR)/$$name.dll.a && \
		$(DLLTOOL) -d $(DLL_DIR)/spread.def -D spread.dll -l $(DLL_DIR)/$$name.lib || exit 1; \
	done
endef

# One archive for Windows: programs and DLL, headers, import libraries, and how to use them.
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
DIST = torc-$(VERSION)-windows-x86_64
DIST_DIR = $(or $(CARGO_TARGET_DIR),target)/dist

dist-windows: python-for-archive windows
	rm -rf $(DIST_DIR)/$(DIST) $(DIST_DIR)/$(DIST).zip
	$(INSTALL) -d $(DIST_DIR)/$(DIST)/bin $(DIST_DIR)/$(DIST)/include $(DIST_DIR)/$(DIST)/lib
	$(INSTALL) -m 755 $(DLL_DIR)/spread.dll $(WINDOWS_PROGRAMS:%=$(DLL_DIR)/%.exe) $(DIST_DIR)/$(DIST)/bin
	$(WINDOWS_STRIP) $(DIST_DIR)/$(DIST)/bin/*
	$(INSTALL) -m 644 $(HEADERS:%=include/%) $(DIST_DIR)/$(DIST)/include
	$(INSTALL) -m 644 $(foreach name,$(DLL_NAMES),$(DLL_DIR)/$(name).dll.a $(DLL_DIR)/$(name).lib) $(DLL_DIR)/spread.def \
		$(DIST_DIR)/$(DIST)/lib
	$(INSTALL) -m 644 docs/windows.md $(DIST_DIR)/$(DIST)/README.md
	$(INSTALL) -m 644 docs/spread.conf.example LICENSE-MIT LICENSE-APACHE $(DIST_DIR)/$(DIST)
	packaging/licences.py --filter-platform $(WINDOWS) > $(DIST_DIR)/$(DIST)/licences.txt
	cd $(DIST_DIR) && python3 -m zipfile -c $(DIST).zip $(DIST)
	@echo $(DIST_DIR)/$(DIST).zip

# Asked for before anything is built.
python-for-archive:
	@command -v python3 >/dev/null || { echo "dist-windows: python3 is missing; install the package: apt-get install python3" >&2; exit 1; }

# Where archives and packages go.
OUT ?= $(DIST_DIR)

deb: build
	packaging/deb.sh $(OUT)

# The wheel for this system, and the source archive for Python.
wheel:
	packaging/wheel.sh $(OUT)

dist:
	packaging/dist.sh $(OUT)

# Web pages of docs/.
MDBOOK_VERSION = 0.5.4
book:
	command -v mdbook >/dev/null || [ -x $(DIST_DIR)/../book-tools/bin/mdbook ] || \
		$(CARGO) install mdbook --version $(MDBOOK_VERSION) --locked --no-default-features --features search --root $(DIST_DIR)/../book-tools
	PATH="$$PATH:$(abspath $(DIST_DIR)/../book-tools/bin)" mdbook build --dest-dir $(abspath $(DIST_DIR)/../book)
	@echo $(abspath $(DIST_DIR)/../book)/index.html

# Records what the tools print, into docs/gallery.md.
gallery: build
	packaging/gallery.sh $(or $(CARGO_TARGET_DIR),target)/release > docs/gallery.new
	mv docs/gallery.new docs/gallery.md

check-packages:
	./tests/packages.sh installed deb wheel sdist crate dist

check-windows:
	./tests/systems.sh windows

check-systems:
	./tests/systems.sh windows others byte-order

# What is played: `make sim HISTORIES=files_change …` plays those alone in which daemons read new files.
HISTORIES ?= seeds_keep a_way_through
sim:
	TORC_SIM_SEEDS=$(FROM)..$$(($(FROM) + $(N))) TORC_SIM_PROGRESS=1 $(if $(SECONDS),TORC_SIM_SECONDS=$(SECONDS)) \
		$(CARGO) test --profile sim --locked --no-default-features --test sim -- --nocapture --test-threads 3 $(HISTORIES)

# Puts known bugs back and shows in how many histories the simulator finds each.
test-the-tester:
	./tests/tester.sh --nocapture

BENCH ?= --json bench.jsonl --html bench.html

bench: build
	$(or $(CARGO_TARGET_DIR),target)/release/spbench $(BENCH)

# How long deliveries pause when a network fails, by policy. Needs root.
bench-failover:
	$(CARGO) bench --locked --bench failover

# The hot paths of the core: their time; and their instructions, which must not be a tenth above the record.
bench-core:
	$(CARGO) bench --locked --bench core

bench-instructions:
	$(CARGO) bench --locked --profile dev --bench instructions

# How much faster than time a ring of five is simulated on one core, with all its faults.
bench-sim:
	TORC_SIM_DAEMONS=5 TORC_SIM_SEEDS=0..500 $(CARGO) test --profile sim --locked --no-default-features --test sim -- --nocapture seeds_keep_extended

# Every C program of the tests but those that call nothing, where valgrind watches its memory.
check-memory:
	TORC_MEMORY=all $(CARGO) test --locked --test c_calls -- --nocapture memory_is_used_cleanly

# Five daemons on three networks in namespaces, clients that judge what they get, and faults from SEED, for so many MINUTES. Needs root.
soak:
	TORC_SOAK_MINUTES=$(or $(MINUTES),10) TORC_SOAK_SEED=$(or $(SEED),1) \
		$(CARGO) test --release --locked --test network -- --nocapture soak

# Any bytes for every decoder and state machine: each target for SECONDS (60). MERGE=1 keeps what covers more in fuzz/corpus.
fuzz:
	SECONDS_EACH=$(or $(SECONDS),60) ./tests/fuzz.sh

# Checks models of token, membership and hand-over in every state that they can reach.
model:
	$(CARGO) run --release --locked --manifest-path model/Cargo.toml --target-dir $(or $(CARGO_TARGET_DIR),target)/model

ifeq ($(origin PROFILE_DIR),undefined)
PROFILE_DIR = $(or $(CARGO_TARGET_DIR),target)/release
install-library install-programs: $(BUILT)
endif

# Where the debug information of a file goes that is installed; nowhere with install-strip.
debug-file = $(if $(STRIP),,$(DESTDIR)$(DEBUGDIR)$(1).debug)
install-binary = OBJCOPY='$(or $(OBJCOPY),objcopy)' packaging/install_binary.sh $(1) $(DESTDIR)$(2) $(call debug-file,$(2))

install-strip:
	$(MAKE) install STRIP=yes

install: install-library install-programs install-documents $(if $(SYSTEMD_DIR),install-service)

install-library:
	$(INSTALL) -d $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(LIBDIR)/cmake/Spread
	$(call install-binary,$(PROFILE_DIR)/libspread.so,$(LIBDIR)/$(REALNAME))
	ln -sf $(REALNAME) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libspread.so
	CC='$(CC)' LD='$(LD)' AR='$(AR)' packaging/static_library.sh $(PROFILE_DIR)/libspread.a $(PROFILE_DIR)/libspread.so \
		$(DESTDIR)$(LIBDIR)/libspread.a
	for name in $(ALIASES); do \
		rm -f $(DESTDIR)$(LIBDIR)/$$name.so.3 && \
		$(CC) $(ALIAS_FLAGS) -Wl,-soname,$$name.so.3 -o $(DESTDIR)$(LIBDIR)/$$name.so.3.0.0 $(DESTDIR)$(LIBDIR)/$(SONAME) && \
		chmod 755 $(DESTDIR)$(LIBDIR)/$$name.so.3.0.0 && \
		ln -sf $$name.so.3.0.0 $(DESTDIR)$(LIBDIR)/$$name.so.3 && \
		ln -sf libspread.so $(DESTDIR)$(LIBDIR)/$$name.so && \
		ln -sf libspread.a $(DESTDIR)$(LIBDIR)/$$name.a || exit 1; \
	done
	for header in $(HEADERS); do \
		$(INSTALL) -m 644 include/$$header $(DESTDIR)$(INCLUDEDIR)/$$header || exit 1; \
	done
	$(fill) packaging/spread.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/spread.pc
	ln -sf spread.pc $(DESTDIR)$(LIBDIR)/pkgconfig/Spread.pc
	for file in SpreadConfig.cmake SpreadConfigVersion.cmake; do \
		$(fill) packaging/$$file.in > $(DESTDIR)$(LIBDIR)/cmake/Spread/$$file || exit 1; \
	done
	$(if $(DESTDIR),,$(LDCONFIG) 2>/dev/null || :)

install-programs:
	$(INSTALL) -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BINDIR)
	$(call install-binary,$(PROFILE_DIR)/spread,$(SBINDIR)/spread)
	for tool in $(TOOLS); do \
		[ ! -e $(PROFILE_DIR)/$$tool ] || $(call install-binary,$(PROFILE_DIR)/$$tool,$(BINDIR)/$$tool) || exit 1; \
	done
	$(INSTALL) -d $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	umask 022; for tool in $(TOOLS); do \
		[ ! -x $(PROFILE_DIR)/$$tool ] || { \
			$(PROFILE_DIR)/$$tool --completion bash > $(DESTDIR)$(BASHDIR)/$$tool && \
			$(PROFILE_DIR)/$$tool --completion zsh > $(DESTDIR)$(ZSHDIR)/_$$tool && \
			$(PROFILE_DIR)/$$tool --completion fish > $(DESTDIR)$(FISHDIR)/$$tool.fish; } || exit 1; \
	done
	[ ! -e $(DESTDIR)$(BINDIR)/spuser ] || ln -sf spuser $(DESTDIR)$(BINDIR)/sptuser
	[ ! -e $(PROFILE_DIR)/spmonitor ] || $(INSTALL) -m 755 $(DESTDIR)$(BINDIR)/spmonitor $(DESTDIR)$(SBINDIR)/spmonitor

install-documents:
	umask 022; for page in $(PAGES); do \
		section=man$${page##*.} directory=$(DESTDIR)$(MANDIR)/man$${page##*.}; \
		$(INSTALL) -d $$directory && $(INSTALL) -m 644 docs/man/$$page $$directory/$$page || exit 1; \
		for name in $(names); do \
			[ $$name.$${page##*.} = $$page ] || echo ".so $$section/$$page" > $$directory/$$name.$${page##*.} || exit 1; \
		done; \
	done
	$(INSTALL) -d $(DESTDIR)$(DOCDIR)
	for file in $(DOCUMENTS); do \
		$(INSTALL) -d $(DESTDIR)$(DOCDIR)/$$(dirname $$file) && $(INSTALL) -m 644 $$file $(DESTDIR)$(DOCDIR)/$$file || exit 1; \
	done
	@# The map of the code is of no use without the code.
	umask 022; sed 's|\[\(ARCHITECTURE\.md\)\](\1)|`\1`|' README.md > $(DESTDIR)$(DOCDIR)/README.md
	[ ! -e $(PROFILE_DIR)/licences.txt ] || $(INSTALL) -m 644 $(PROFILE_DIR)/licences.txt $(DESTDIR)$(DOCDIR)/licences.txt

install-service:
	$(INSTALL) -d $(DESTDIR)$(SYSTEMD_DIR)/system $(DESTDIR)$(SYSUSERS_DIR) $(DESTDIR)$(TMPFILES_DIR)
	$(fill) packaging/spread.service.in > $(DESTDIR)$(SYSTEMD_DIR)/system/spread.service
	$(INSTALL) -m 644 packaging/spread.sysusers $(DESTDIR)$(SYSUSERS_DIR)/spread.conf
	$(INSTALL) -m 644 packaging/spread.tmpfiles $(DESTDIR)$(TMPFILES_DIR)/spread.conf

# Directories that are ours alone, the deeper ones first.
EMPTIED = $(addprefix $(DOCDIR)/,docs/pictures docs examples/c examples/python examples bindings/python bindings) $(DOCDIR)

uninstall:
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,$(REALNAME) $(SONAME) libspread.so libspread.a $(ALIASES:=.so.3.0.0) $(ALIASES:=.so.3) $(ALIASES:=.so) \
		$(ALIASES:=.a) pkgconfig/spread.pc pkgconfig/Spread.pc \
		cmake/Spread/SpreadConfig.cmake cmake/Spread/SpreadConfigVersion.cmake)
	rm -f $(HEADERS:%=$(DESTDIR)$(INCLUDEDIR)/%)
	rm -f $(addprefix $(DESTDIR)$(BASHDIR)/,$(TOOLS)) $(addprefix $(DESTDIR)$(ZSHDIR)/_,$(TOOLS)) \
		$(addsuffix .fish,$(addprefix $(DESTDIR)$(FISHDIR)/,$(TOOLS)))
	rm -f $(addprefix $(DESTDIR)$(SBINDIR)/,spread spmonitor) $(addprefix $(DESTDIR)$(BINDIR)/,$(TOOLS) sptuser)
	for page in $(PAGES); do \
		for name in $${page%.*} $(names); do rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$$name.$${page##*.}; done; \
	done
	rm -f $(addprefix $(DESTDIR)$(DOCDIR)/,$(DOCUMENTS) licences.txt)
	rm -f $(addprefix $(DESTDIR)$(DEBUGDIR),$(addsuffix .debug,$(LIBDIR)/$(REALNAME) $(SBINDIR)/spread $(TOOLS:%=$(BINDIR)/%)))
	$(if $(SYSTEMD_DIR),rm -f $(DESTDIR)$(SYSTEMD_DIR)/system/spread.service)
	$(if $(SYSTEMD_DIR),rm -f $(DESTDIR)$(SYSUSERS_DIR)/spread.conf $(DESTDIR)$(TMPFILES_DIR)/spread.conf)
	for directory in $(addprefix $(DESTDIR),$(LIBDIR)/cmake/Spread $(EMPTIED)); do \
		[ ! -d $$directory ] || rmdir $$directory 2>/dev/null || :; \
	done
	[ ! -d $(DESTDIR)$(DEBUGDIR) ] || find $(DESTDIR)$(DEBUGDIR) -depth -type d -empty -delete

clean:
	$(CARGO) clean
