//! Other processes, as an operator knows them.

use std::ffi::OsStr;
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
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut processes = processes.filter_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((id, entry.path()))
    });
    let (id, path) = processes.find(|(_, path)| has_open(path, target.as_ref()))?;
    let name = fs::read(path.join("comm")).unwrap_or_default();
    let name = String::from_utf8_lossy(&name);
    // A process may call itself anything.
    Some((id, name.trim_end().escape_debug().to_string()))
}

fn has_open(process: &Path, target: &OsStr) -> bool {
    let open = fs::read_dir(process.join("fd")).into_iter().flatten();
    open.flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|what| what == target)
}
