//! The daemons that are compared, and how each is called.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jool_simulated::daemon::Program;
use jool_simulated::node::{LINK, Network, Side};
use jool_simulated::server::Kernel;

/// The network of all measurements.
pub const NETWORK: Network = Network::Ipv6;

/// A kind of daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// This project's.
    Ours,
    /// The same with `"extensions": false`: it sends what upstream's does.
    Plain,
    /// Upstream's, in C.
    Upstream,
    /// Upstream's with syslog(3) taken away: it logs every packet.
    Mute,
    /// benches/floor.c.
    Floor,
}

impl Kind {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Ours,
        Self::Plain,
        Self::Upstream,
        Self::Mute,
        Self::Floor,
    ];

    /// What the table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Plain => "ours, plain",
            kind => kind.name(),
        }
    }

    /// What it is called in `--daemons` and in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Plain => "plain",
            Self::Upstream => "upstream",
            Self::Mute => "mute",
            Self::Floor => "floor",
        }
    }

    /// Whether it numbers what it sends, and joins those who do.
    pub fn extends(self) -> bool {
        self == Self::Ours
    }

    /// The one of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A daemon that takes part.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Which one.
    pub kind: Kind,
    /// Its program, and the libraries that it alone brings.
    files: Vec<PathBuf>,
    how: How,
}

/// How it is called.
#[derive(Clone, Debug)]
enum How {
    /// As any program.
    Plainly,
    /// With its own loader and libc, so that it runs on any Debian. Of that directory.
    Loader(PathBuf),
    /// As `Loader`, and with that library preloaded.
    Preloaded(PathBuf, PathBuf),
    /// With numbers in its environment.
    Numbers,
}

impl Contender {
    /// This project's daemon.
    pub fn ours(path: &Path) -> Self {
        Self {
            kind: Kind::Ours,
            files: vec![path.to_owned()],
            how: How::Plainly,
        }
    }

    /// The same without extensions.
    pub fn plain(path: &Path) -> Self {
        Self {
            kind: Kind::Plain,
            ..Self::ours(path)
        }
    }

    /// The least that does the job.
    pub fn floor(path: &Path) -> Self {
        Self {
            kind: Kind::Floor,
            files: vec![path.to_owned()],
            how: How::Numbers,
        }
    }

    /// Upstream's daemon, in the directory that `benches/upstream` printed.
    pub fn upstream(root: &Path) -> Self {
        let files = ["joold", "libnl-3.so.200", "libnl-genl-3.so.200"];
        Self {
            kind: Kind::Upstream,
            files: files.iter().map(|file| root.join(file)).collect(),
            how: How::Loader(root.to_owned()),
        }
    }

    /// The same without its log.
    pub fn mute(root: &Path, library: &Path) -> Self {
        Self {
            kind: Kind::Mute,
            how: How::Preloaded(root.to_owned(), library.to_owned()),
            ..Self::upstream(root)
        }
    }

    /// Whether its files are there.
    pub fn is_there(&self) -> bool {
        self.size().is_ok()
    }

    /// Bytes of its program and of the libraries that it alone brings: libc is everybody's.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn size(&self) -> io::Result<u64> {
        self.files
            .iter()
            .map(|file| fs::metadata(file).map(|metadata| metadata.len()))
            .sum()
    }

    /// The network file of the router on that side.
    pub fn netsocket(&self, side: Side) -> String {
        match self.kind {
            Kind::Plain => NETWORK.plain_netsocket(side, ""),
            _ => NETWORK.netsocket(side, ""),
        }
    }

    /// How it is called on a router with that kernel.
    pub fn program(&self, kernel: &Kernel) -> Program {
        match &self.how {
            How::Plainly => Program::new(&self.files[0]),
            How::Loader(root) => self.loaded(root),
            How::Preloaded(root, library) => self.loaded(root).preload(library),
            How::Numbers => self.numbered(kernel),
        }
    }

    fn loaded(&self, root: &Path) -> Program {
        Program::new(root.join("ld.so"))
            .argument("--library-path")
            .argument(&root.to_string_lossy())
            .argument(&self.files[0].to_string_lossy())
    }

    fn numbered(&self, kernel: &Kernel) -> Program {
        let module = kernel.module();
        let number = |value: Option<u32>| value.unwrap_or_default().to_string();
        Program::new(&self.files[0])
            .variable("FLOOR_FAMILY", &number(module.family().map(u32::from)))
            .variable("FLOOR_NETLINK_GROUP", &number(module.group()))
            .variable("FLOOR_GROUP", NETWORK.group())
            .variable("FLOOR_PORT", "6464")
            .variable("FLOOR_INTERFACE", LINK)
    }
}
