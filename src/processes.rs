//! Other processes, as an operator knows them.

use std::fs;
use std::path::Path;

/// The process that has the socket with that inode number, in words: "process 4711 (joold)". The
/// system tells the whole to root, and the user's own processes to others.
pub fn describe(socket: Option<u64>) -> String {
    match socket.and_then(holder) {
        Some((id, name)) => format!("process {id} ({name})"),
        None => "another process".to_owned(),
    }
}

fn holder(socket: u64) -> Option<(u32, String)> {
    let target = format!("socket:[{socket}]");
    // Whatever cannot be read has ended meanwhile, or is none of this user's business.
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let id = process.file_name().to_str().and_then(|id| id.parse().ok());
        match id {
            Some(id) if has_open(&process.path(), &target) => {
                return Some((id, name(&process.path())));
            }
            _ => (),
        }
    }
    None
}

fn has_open(process: &Path, target: &str) -> bool {
    let Ok(open) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    open.flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|what| what == Path::new(target)))
}

/// A process may call itself anything.
fn name(process: &Path) -> String {
    let name = fs::read(process.join("comm")).unwrap_or_default();
    let name = String::from_utf8_lossy(name.trim_ascii_end());
    name.replace(char::is_control, "?")
}
