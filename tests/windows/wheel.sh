#!/bin/sh
# Builds the Python wheel for Windows and looks into it: its name, its files, and that the DLL in it has every function that the
# module declares and loads in Wine. There is no Python for Windows to run it with.
set -eu
cd "$(dirname "$0")/../.."

fail() { echo "wheel: $*" >&2; exit 1; }
target=${CARGO_TARGET_DIR:-$PWD/target}
place=$target/wheel-windows
rm -rf "$place"
RUSTFLAGS='' ./packaging/windows-wheel.sh "$place" --profile dev
cd "$place"
set -- *.whl
[ -f "$1" ] || fail "none was built"
case $1 in
torc_spread-*-py3-none-win_amd64.whl) echo "$1" ;;
*) fail "the name is $1" ;;
esac
python3 - "$1" <<'END'
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
names = wheel.namelist()
assert any(name.endswith("/licenses/LICENSE-crates.txt") for name in names), names
expected = ["spread/__init__.py", "spread/_native/__init__.py", "spread/_native/ffi.py"]
missing = [name for name in expected if name not in names]
assert not missing, (missing, names)
[tags] = [wheel.read(name).decode() for name in names if name.endswith("/WHEEL")]
assert "Tag: py3-none-win_amd64" in tags, tags
[library] = [name for name in names if name.endswith((".dll", ".pyd"))]
assert not [name for name in names if name.endswith(".so")], names
assert library.split("/")[-1] in wheel.read("spread/_native/__init__.py").decode(), "the module loads this library"
wheel.extract(library)
open("library", "w").write(library)
import re
# A type's number precedes each function's name there: it is written with escapes, the last of which says that this is a function.
declared = wheel.read("spread/_native/ffi.py").decode()
open("declared", "w").write("\n".join(sorted(set(re.findall(r"\\x23((?:SP|FL|E|torc)_[a-z_0-9]+)", declared)))))
END
library=$(cat library)
cat > load.c <<'END'
/* Loads a DLL and finds every function that a file names. */
#include <windows.h>
#include <stdio.h>
#include <string.h>
int main(int count, char **arguments)
{
    HMODULE library = LoadLibraryA(arguments[1]);
    char name[200];
    int found = 0, missing = 0;

    if (count != 2 || library == NULL) return printf("%s is not loaded: %lu\n", arguments[1], GetLastError()), 1;
    while (scanf("%199s", name) == 1) {
        if (GetProcAddress(library, name) != NULL) found++;
        else missing++, printf("the DLL has no %s\n", name);
    }
    printf("%d functions\n", found);
    return missing > 0 || found < 60;
}
END
x86_64-w64-mingw32-gcc -Wall -Wextra -Werror load.c -o load.exe
[ ! -e "${TORC_WINDOWS-}/bcryptprimitives.dll" ] || cp "$TORC_WINDOWS/bcryptprimitives.dll" .
timeout 120 "${TORC_WINE:-wine64}" ./load.exe "$(echo "$library" | tr / '\\')" < declared
