//! `jooldctl`: see `jooldctl --help`.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use joold::jooldctl;

fn main() -> ExitCode {
    match jooldctl::run(env::args_os().skip(1)) {
        Ok(status) => status.into(),
        Err(failure) => {
            // Without a standard error there is the exit status.
            let _ = io::stderr().write_all(format!("jooldctl: {failure}\n").as_bytes());
            ExitCode::from(failure.exit as u8)
        }
    }
}
