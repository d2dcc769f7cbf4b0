//! Compiles the preloaded library, which is C because it stands between a program and its libc.

use std::env;
use std::path::PathBuf;
use std::process::{Command, exit};

include!("port.rs");

fn main() {
    println!("cargo::rerun-if-changed=shim.c");
    println!("cargo::rerun-if-changed=port.rs");
    println!("cargo::rerun-if-env-changed=CC");
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let library = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("shim.so");
    let status = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"])
        .arg(format!("-DSIMULATED_KERNEL={PORT}u"))
        .arg("-o")
        .arg(&library)
        .arg("shim.c")
        .arg("-ldl")
        .status();
    match status {
        Ok(status) if status.success() => {
            println!("cargo::rustc-env=JOOL_SIMULATED_SHIM={}", library.display());
        }
        Ok(status) => fail(&format!("{compiler:?} failed on shim.c: {status}")),
        Err(error) => fail(&format!(
            "the simulated Jool needs a C compiler (Debian: apt install gcc libc6-dev), \
             and {compiler:?} does not start: {error}"
        )),
    }
}

fn fail(why: &str) {
    println!("cargo::error={why}");
    exit(1);
}
