//! Compiles what is in C: the stand-ins, because one of them stands between a program and its
//! libc, and the floor, because it is to be as plain as possible.

use std::path::{Path, PathBuf};
use std::process::Command;

use jool_simulated::shim::PORT;

/// What came out.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The stand-in that is preloaded into daemons.
    pub inside: PathBuf,
    /// The stand-in that is a program.
    pub beside: PathBuf,
    /// The library without syslog(3).
    pub mute: PathBuf,
    /// The least daemon.
    pub floor: PathBuf,
}

const LIBRARY: [&str; 2] = ["-shared", "-fPIC"];

impl Compiled {
    /// Compiles all of it into `directory`.
    ///
    /// # Errors
    /// When there is no C compiler, or it fails.
    pub fn new(directory: &Path) -> Result<Self, String> {
        let compile = |source, name: &str, options: &[&str]| {
            let output = directory.join(name);
            run(source, &output, options).map(|()| output)
        };
        Ok(Self {
            inside: compile("standin/inside.c", "inside.so", &LIBRARY)?,
            beside: compile("standin/beside.c", "beside", &[])?,
            mute: compile("mute.c", "mute.so", &LIBRARY)?,
            floor: compile("floor.c", "floor", &[])?,
        })
    }
}

fn run(source: &str, output: &Path, options: &[&str]) -> Result<(), String> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("benches")
        .join(source);
    let status = Command::new(&compiler)
        .args(["-O2", "-Wall", "-Wextra", "-Werror", "-pthread"])
        .arg(format!("-DSIMULATED_KERNEL={PORT}u"))
        .args(options)
        .arg("-o")
        .arg(output)
        .arg(&source)
        .arg("-ldl")
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{compiler:?} failed on {source:?}: {status}")),
        Err(error) => Err(format!(
            "the benchmark needs a C compiler (Debian: apt install gcc libc6-dev), and \
             {compiler:?} does not start: {error}"
        )),
    }
}
