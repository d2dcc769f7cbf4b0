//! How often a daemon takes memory from the heap, counted by a preloaded library
//! (`allocations.c`) while the daemon runs.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::daemon::Program;

/// The counter of one process.
#[derive(Debug)]
pub struct Allocations {
    file: PathBuf,
}

impl Allocations {
    /// A counter at 0.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("joold-allocations-{}-{number}", std::process::id());
        let file = std::env::temp_dir().join(name);
        fs::write(&file, 0u64.to_ne_bytes())?;
        Ok(Self { file })
    }

    /// Has the next process of `program` counted.
    #[must_use]
    pub fn of(&self, program: Program) -> Program {
        program
            .variable(
                "JOOL_SIMULATED_ALLOCATIONS",
                &self.file.display().to_string(),
            )
            .preload(env!("JOOL_SIMULATED_COUNTER"))
    }

    /// How many there were so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn count(&self) -> io::Result<u64> {
        let bytes = fs::read(&self.file)?;
        let number = bytes.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(u64::from_ne_bytes(number))
    }
}

impl Drop for Allocations {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}
