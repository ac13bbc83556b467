//! The daemon program: arguments, then a library call.

fn main() {}
