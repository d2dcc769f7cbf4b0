//! Compiles the preloaded libraries, which are C because they stand between a program and its libc.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, exit};

include!("port.rs");

fn main() {
    println!("cargo::rerun-if-changed=port.rs");
    println!("cargo::rerun-if-env-changed=CC");
    compile("shim", "JOOL_SIMULATED_SHIM");
    compile("allocations", "JOOL_SIMULATED_COUNTER");
}

/// Makes a library of the C file `name`, and tells the crate where it is by `variable`.
fn compile(name: &str, variable: &str) {
    let source = format!("{name}.c");
    println!("cargo::rerun-if-changed={source}");
    let compiler = env::var_os("CC").unwrap_or_else(|| OsString::from("cc"));
    let directory = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let library = directory.join(format!("{name}.so"));
    let status = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"])
        .arg(format!("-DSIMULATED_KERNEL={PORT}u"))
        .arg("-o")
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status();
    match status {
        Ok(status) if status.success() => {
            println!("cargo::rustc-env={variable}={}", library.display());
        }
        Ok(status) => fail(&format!("{compiler:?} failed on {source}: {status}")),
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
