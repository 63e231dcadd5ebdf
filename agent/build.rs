//! The dashboard's built files are embedded: a new build of them is a reason to compile anew. They are made
//! by `make dashboard`, not here, so that `cargo build` needs no Node.
#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

fn main() {
    println!("cargo:rerun-if-changed=dashboard/dist");
}
