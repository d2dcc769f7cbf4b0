//! The file through which a stand-in for the kernel module gets orders and tells what it counted:
//! `struct shared` in benches/standin/standin.h. The stand-in maps it; reads and writes do for us.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the words and the areas of the file are.
mod at {
    pub const ACTIVE: u64 = 0;
    pub const TOTAL: u64 = 8;
    pub const STAMP: u64 = 16;
    pub const GROUP: u64 = 24;
    pub const LENGTH: u64 = 32;
    pub const SESSIONS: u64 = 40;
    pub const GENERATION: u64 = 48;
    pub const GIVEN: u64 = 64;
    pub const GOT_SESSIONS: u64 = 136;
    pub const GOT_BATCHES: u64 = 152;
    pub const REPEATED: u64 = 160;
    pub const STRANGE: u64 = 168;
    pub const TEMPLATE: u64 = 192;
    pub const SEEN: u64 = TEMPLATE + 2048;
    pub const STAMPS: u64 = SEEN + super::NUMBERS / 8;
    pub const END: u64 = STAMPS + super::STAMPS * 8;
}

/// Batches that the stand-in tells apart.
pub const NUMBERS: u64 = 1 << 22;

/// Batches whose times of arrival it keeps.
pub const STAMPS: u64 = 1 << 16;

/// What a batch is made of.
#[derive(Clone, Debug)]
pub struct Template {
    /// The number of the module's multicast group.
    pub group: u32,
    /// Sessions in it.
    pub sessions: usize,
    /// A netlink message.
    pub bytes: Vec<u8>,
}

/// What a stand-in has counted since the last [`Shared::begin`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Batches that it gave to its daemon.
    pub given: u64,
    /// Sessions that arrived.
    pub sessions: u64,
    /// Batches that arrived.
    pub batches: u64,
    /// Batches that arrived once more.
    pub repeated: u64,
    /// Sessions that no stand-in made.
    pub strange: u64,
}

/// The file, which goes when this is dropped.
#[derive(Debug)]
pub struct Shared {
    file: File,
    path: PathBuf,
}

impl Shared {
    /// Makes one.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // In memory where possible: a disk would write it back in the middle of a measurement.
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let path = directory.join(format!("joold-bench-{}-{number}", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        let shared = Self { file, path };
        shared.file.set_len(at::END)?;
        Ok(shared)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets everything, and has the stand-in answer from now on: with batches numbered from
    /// `first` up to `total`, made of `template`.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn begin(&self, template: &Template, first: u64, total: u64) -> io::Result<()> {
        self.put(at::ACTIVE, 0)?;
        self.forget()?;
        self.put(at::GROUP, u64::from(template.group))?;
        self.put(at::LENGTH, template.bytes.len() as u64)?;
        self.put(at::SESSIONS, template.sessions as u64)?;
        self.file.write_all_at(&template.bytes, at::TEMPLATE)?;
        self.put(at::GENERATION, self.get(at::GENERATION)? + 1)?;
        self.put(at::GIVEN, first)?;
        self.put(at::TOTAL, total)?;
        self.put(at::ACTIVE, 1)
    }

    fn forget(&self) -> io::Result<()> {
        let nothing = vec![0; (at::TEMPLATE - at::GIVEN) as usize];
        self.file.write_all_at(&nothing, at::GIVEN)?;
        let unseen = vec![0; (at::STAMPS - at::SEEN) as usize];
        self.file.write_all_at(&unseen, at::SEEN)
    }

    /// Has the stand-in keep each batch's time of arrival, or not.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn stamp(&self, on: bool) -> io::Result<()> {
        self.put(at::STAMP, u64::from(on))
    }

    /// Gives out no further batch.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn end(&self) -> io::Result<()> {
        self.put(at::TOTAL, 0)
    }

    /// The counters.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn counts(&self) -> io::Result<Counts> {
        Ok(Counts {
            given: self.get(at::GIVEN)?,
            sessions: self.get(at::GOT_SESSIONS)?,
            batches: self.get(at::GOT_BATCHES)?,
            repeated: self.get(at::REPEATED)?,
            strange: self.get(at::STRANGE)?,
        })
    }

    /// When the batch of that number arrived: nanoseconds of `CLOCK_MONOTONIC`. 0: it did not.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn arrival(&self, number: u64) -> io::Result<u64> {
        self.get(at::STAMPS + number % STAMPS * 8)
    }

    fn get(&self, at: u64) -> io::Result<u64> {
        let mut word = [0; 8];
        self.file.read_exact_at(&mut word, at)?;
        Ok(u64::from_ne_bytes(word))
    }

    fn put(&self, at: u64, value: u64) -> io::Result<()> {
        self.file.write_all_at(&value.to_ne_bytes(), at)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
