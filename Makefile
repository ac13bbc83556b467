# make build | demo | check | sim | install | clean
#   install: PREFIX (default /usr/local) and DESTDIR

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
INSTALL ?= install
SEEDS ?= 1000

libdir = $(DESTDIR)$(PREFIX)/lib
bindir = $(DESTDIR)$(PREFIX)/bin
# The shared object under the names that old link lines and old binaries ask for.
SONAME = libspread.so.3
ALIASES = libspread-core libtspread libtspread-core
TOOLS = spuser spflooder spsend sprecv
HEADERS = sp.h sp_func.h sp_events.h fl.h

.PHONY: build demo check sim install uninstall clean

build:
	$(CARGO) build --release --locked

demo:
	$(CARGO) run --release --locked --example failover

check:
	./tests/check.sh

sim:
	TORC_SIM_SEEDS=$(SEEDS) $(CARGO) test --release --locked --test sim -- --nocapture

install: build
	$(INSTALL) -d $(libdir)/pkgconfig $(bindir) $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/sbin
	$(INSTALL) -m 755 target/release/libspread.so $(libdir)/$(SONAME)
	$(INSTALL) -m 644 target/release/libspread.a $(libdir)/libspread.a
	ln -sf $(SONAME) $(libdir)/libspread.so
	for name in $(ALIASES); do ln -sf $(SONAME) $(libdir)/$$name.so; ln -sf $(SONAME) $(libdir)/$$name.so.3; done
	for name in $(HEADERS); do $(INSTALL) -m 644 include/$$name $(DESTDIR)$(PREFIX)/include/$$name || exit 1; done
	$(INSTALL) -m 755 target/release/spread $(DESTDIR)$(PREFIX)/sbin/spread
	for name in $(TOOLS); do $(INSTALL) -m 755 target/release/$$name $(bindir)/$$name || exit 1; done
	ln -sf spuser $(bindir)/sptuser
	sed 's|@PREFIX@|$(PREFIX)|' packaging/spread.pc.in > $(libdir)/pkgconfig/spread.pc

uninstall:
	rm -f $(libdir)/$(SONAME) $(libdir)/libspread.so $(libdir)/libspread.a $(libdir)/pkgconfig/spread.pc
	for name in $(ALIASES); do rm -f $(libdir)/$$name.so $(libdir)/$$name.so.3; done
	for name in $(TOOLS) sptuser; do rm -f $(bindir)/$$name; done
	for name in $(HEADERS); do rm -f $(DESTDIR)$(PREFIX)/include/$$name; done
	rm -f $(DESTDIR)$(PREFIX)/sbin/spread

clean:
	$(CARGO) clean
