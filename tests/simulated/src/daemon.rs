//! A daemon under test: an unchanged program on the simulated kernel.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::namespace::Namespace;
use crate::system_log::{self, SystemLog, own};
use crate::{shim, wait};

/// The name of the modsocket file.
const MODSOCKET: &str = "modsocket.json";

/// A program and how to call it.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    preloaded: Vec<PathBuf>,
    devices: Option<PathBuf>,
    files: bool,
}

impl Program {
    /// The program at `path`, without arguments.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            preloaded: Vec::new(),
            devices: None,
            files: true,
        }
    }

    /// One more argument, in front of the configuration files.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// One more variable in its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One more library that stands between it and its libc, in front of the simulation's own.
    #[must_use]
    pub fn preload(mut self, library: impl Into<PathBuf>) -> Self {
        self.preloaded.push(library.into());
        self
    }

    /// Logs to `log`, and has its `/dev`.
    #[must_use]
    pub fn system_log(mut self, log: &SystemLog) -> Self {
        self.devices = Some(log.devices().to_owned());
        self
    }

    /// Takes its arguments alone, no files, and has a `/run` of its own.
    #[must_use]
    pub fn without_files(mut self) -> Self {
        self.files = false;
        self
    }

    /// `LD_PRELOAD`.
    fn libraries(&self) -> OsString {
        let own = shim::path().as_os_str();
        let all: Vec<_> = self
            .preloaded
            .iter()
            .map(|library| library.as_os_str())
            .chain([own])
            .collect();
        all.join(OsStr::new(":"))
    }
}

/// What a daemon is told: the contents of its files, and the port for statistics.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The netsocket file, JSON.
    pub netsocket: String,
    /// The modsocket file, JSON. None: the daemon's default.
    pub modsocket: Option<String>,
    /// The third argument. None: no statistics.
    pub statistics: Option<String>,
}

/// A running daemon. It is killed when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    said: Arc<Mutex<String>>,
    keeper: Option<Keeper>,
    directory: Directory,
}

impl Daemon {
    /// Starts `program` in `namespace`.
    ///
    /// # Errors
    /// When its files cannot be written or it does not start.
    pub fn start(
        program: &Program,
        namespace: &Namespace,
        configuration: &Configuration,
    ) -> io::Result<Self> {
        let directory = Directory::new()?;
        let mut command = Command::new(&program.path);
        command.args(&program.arguments);
        if program.files {
            command.args(directory.write_all(configuration)?);
        }
        command
            .envs(program.environment.iter().cloned())
            .env("LD_PRELOAD", program.libraries())
            .env(shim::LEASH, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let said = Arc::new(Mutex::new(String::new()));
        let place = Place {
            devices: program.devices.clone(),
            run: (!program.files).then(|| directory.0.clone()),
        };
        let (keeper, child) = keep(namespace, place, command, Arc::clone(&said))?;
        Ok(Self {
            child,
            said,
            keeper: Some(keeper),
            directory,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A file under `/proc/<its id>`.
    ///
    /// # Errors
    /// When it is not there, for instance because the daemon has ended.
    pub fn proc(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.id()))
    }

    /// What it has open, in the order of the descriptors: kinds and numbers, as `/proc` names them.
    ///
    /// # Errors
    /// When it has ended.
    pub fn descriptors(&self) -> io::Result<Vec<String>> {
        let mut open = Vec::new();
        for entry in fs::read_dir(format!("/proc/{}/fd", self.id()))? {
            let entry = entry?;
            let number = entry.file_name().to_string_lossy().into_owned();
            let what = fs::read_link(entry.path())?;
            open.push(format!("{number}: {}", what.display()));
        }
        open.sort();
        Ok(open)
    }

    /// How many threads it has.
    ///
    /// # Errors
    /// When it has ended.
    pub fn threads(&self) -> io::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/task", self.id()))?.count())
    }

    /// Where its configuration files are.
    pub fn directory(&self) -> &Path {
        &self.directory.0
    }

    /// Where its control socket is, unless its file names another place.
    pub fn control_socket(&self) -> PathBuf {
        self.directory.control_socket()
    }

    /// What it has written to standard error so far.
    pub fn said(&self) -> String {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Forgets what it has written so far.
    pub fn forget(&self) {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Waits until it has written `text`, and returns all that it wrote.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_for(&self, text: &str) -> Result<String, String> {
        self.wait_for_times(text, 1)
    }

    /// The same for `text` written so many times, or more.
    ///
    /// # Errors
    /// When it is not.
    pub fn wait_for_times(&self, text: &str, times: usize) -> Result<String, String> {
        wait::for_some(&format!("{text:?} in the log, {times} times"), || {
            Some(self.said()).filter(|said| said.matches(text).count() >= times)
        })
        .map_err(|why| format!("{why}, which says: {}", self.said()))
    }

    /// How many times it has written `text`.
    pub fn times(&self, text: &str) -> usize {
        self.said().matches(text).count()
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn is_running(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait(&mut self) -> Result<ExitStatus, String> {
        let status = wait::for_some("the daemon to end", || self.child.try_wait().ok().flatten());
        if status.is_ok() {
            self.join();
        }
        status
    }

    /// Has it read its files again, changed or not.
    ///
    /// # Errors
    /// When it has ended.
    pub fn hang_up(&self) -> Result<(), String> {
        self.signal(Signal::SIGHUP)
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    ///
    /// # Errors
    /// When it does not.
    pub fn stop(&mut self) -> Result<ExitStatus, String> {
        self.signal(Signal::SIGTERM)?;
        self.wait()
    }

    /// Asks it to end, as somebody at a terminal does, and waits until it has.
    ///
    /// # Errors
    /// When it does not.
    pub fn interrupt(&mut self) -> Result<ExitStatus, String> {
        self.signal(Signal::SIGINT)?;
        self.wait()
    }

    /// Has it log its counters.
    ///
    /// # Errors
    /// When it has ended.
    pub fn ask_for_counters(&self) -> Result<(), String> {
        self.signal(Signal::SIGUSR1)
    }

    /// Writes one of its files anew, and has it read them again.
    ///
    /// # Errors
    /// When that cannot be written, or the daemon has ended.
    pub fn reload(&self, file: &str, contents: &str) -> Result<(), String> {
        let written = match file {
            MODSOCKET => self
                .directory
                .write(file, &self.directory.of_its_own(contents)),
            _ => self.directory.write(file, contents),
        };
        written.map_err(|error| format!("{file}: {error}"))?;
        self.signal(Signal::SIGHUP)
    }

    /// Keeps it from running until [`Daemon::resume`].
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&self) -> Result<(), String> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it run again.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&self) -> Result<(), String> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        let id = i32::try_from(self.id()).map_err(|error| error.to_string())?;
        kill(Pid::from_raw(id), signal).map_err(|error| format!("{signal}: {error}"))
    }

    /// Ends it without asking.
    pub fn kill(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join();
    }

    fn join(&mut self) {
        if let Some(Keeper { leash, thread }) = self.keeper.take() {
            drop(leash);
            let _ = thread.join();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The thread that started a daemon and reads what it says. If it ends, so does the daemon: a test
/// that is killed leaves none behind.
#[derive(Debug)]
struct Keeper {
    /// The thread may end when this is dropped.
    leash: Sender<()>,
    thread: JoinHandle<()>,
}

/// What a daemon has of its own in the file system.
struct Place {
    devices: Option<PathBuf>,
    run: Option<PathBuf>,
}

impl Place {
    fn enter(&self) -> io::Result<()> {
        self.devices.as_deref().map_or(Ok(()), system_log::enter)?;
        self.run.as_deref().map_or(Ok(()), |run| own(run, "/run"))
    }
}

fn keep(
    namespace: &Namespace,
    place: Place,
    mut command: Command,
    said: Arc<Mutex<String>>,
) -> io::Result<(Keeper, Child)> {
    let namespace = namespace.try_clone()?;
    let (leash, end) = channel();
    let (report, started) = channel();
    let thread = thread::spawn(move || {
        let mut start = || {
            namespace.enter()?;
            place.enter()?;
            command.spawn()
        };
        let mut child = match start() {
            Ok(child) => child,
            Err(error) => return drop(report.send(Err(error))),
        };
        let stderr = child.stderr.take();
        if report.send(Ok(child)).is_ok() {
            stderr.into_iter().for_each(|stderr| listen(stderr, &said));
            // Nothing is ever sent: this waits until the other end goes.
            let _ = end.recv();
        }
    });
    let child = started
        .recv()
        .map_err(|_| io::Error::other("the thread that starts the daemon panicked"))??;
    Ok((Keeper { leash, thread }, child))
}

fn listen(mut stderr: ChildStderr, said: &Mutex<String>) {
    let mut buffer = [0; 4096];
    // Ends when the daemon does: nobody else holds the other end.
    while let Ok(length @ 1..) = stderr.read(&mut buffer) {
        said.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
}

/// A directory that goes when this is dropped.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("joold-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn control_socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// A modsocket file with a control socket of its own, if it is JSON and names none: the default
    /// would be the same for all daemons of the machine.
    fn of_its_own(&self, modsocket: &str) -> String {
        let Some((before, members)) = modsocket.split_once('{') else {
            return modsocket.to_owned();
        };
        if members.contains("\"control socket\"") {
            return modsocket.to_owned();
        }
        let path = self.control_socket();
        let comma = match members.trim_start().starts_with('}') {
            true => "",
            false => ",",
        };
        format!(
            "{before}{{ \"control socket\": \"{}\"{comma}{members}",
            path.display()
        )
    }

    /// Writes the files; returns the arguments that name them, and what else the daemon is told.
    fn write_all(&self, configuration: &Configuration) -> io::Result<Vec<OsString>> {
        let netsocket = self.write("netsocket.json", &configuration.netsocket)?;
        let mut arguments = vec![netsocket.into()];
        let modsocket = configuration.modsocket.as_deref();
        if modsocket.is_some() || configuration.statistics.is_some() {
            let default = r#"{ "instance": "default" }"#;
            let contents = self.of_its_own(modsocket.unwrap_or(default));
            arguments.push(self.write(MODSOCKET, &contents)?.into());
        }
        arguments.extend(configuration.statistics.iter().map(OsString::from));
        Ok(arguments)
    }

    fn write(&self, name: &str, contents: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, contents)?;
        Ok(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
