//! Sets the soname that old link lines and old binaries ask for, and gives the linker the arguments that make the library smaller.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // `make build` asks the linker first (packaging/link_arguments.sh): not every linker knows them.
    println!("cargo:rerun-if-env-changed=TORC_LINK_ARGUMENTS");
    for argument in std::env::var("TORC_LINK_ARGUMENTS").unwrap_or_default().split_whitespace() {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libspread.so.3");
    }
}
