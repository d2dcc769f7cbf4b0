//! `jooldctl watch`: asks again and again, until a signal or a reader who has enough ends it. That the
//! daemon goes, and comes back, does not.

mod sample;
mod terminal;
mod view;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::low_level::emulate_default_handler;
use signal_hook_mio::v1_0::Signals;

use super::ask::Server;
use crate::failure::Failure;
use sample::Sample;
use terminal::Terminal;
use view::View;

/// What became of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// It is time to ask.
    Due,
    /// The terminal has another size.
    Resized,
    /// Somebody wants to use the terminal for something else.
    Suspended,
    /// Somebody wants an end.
    Ended,
}

/// Shows what `server` tells, each `interval`.
///
/// # Errors
/// When it does not answer the first time, or there is no writing to standard output.
pub(super) fn run(server: &Server<'_>, interval: Duration) -> Result<(), Failure> {
    let mut view = View::default();
    let mut asked = ask(server, &mut view, None)?;
    let failed = |error: io::Error| Failure::system("cannot wait for signals", &error);
    let mut alarm = Alarm::new().map_err(failed)?;
    let mut shown = Shown::new().map_err(unwritten)?;
    let mut due = asked;
    loop {
        if let Err(error) = shown.show(&mut view) {
            return match error.kind() {
                // Whoever reads has enough.
                io::ErrorKind::BrokenPipe => Ok(()),
                _ => Err(unwritten(error)),
            };
        }
        // Where an answer took longer than the interval, nothing is made up for.
        due = (due + interval).max(Instant::now());
        loop {
            match alarm.wait(due).map_err(failed)? {
                Woken::Due => break,
                Woken::Resized => shown.repaint(&view).map_err(unwritten)?,
                Woken::Suspended => shown.suspend(&view).map_err(unwritten)?,
                Woken::Ended => return Ok(()),
            }
        }
        match ask(server, &mut view, Some(asked)) {
            Ok(at) => asked = at,
            Err(failure) => view.failed(failure.message),
        }
    }
}

/// Asks once; returns when it was answered. `before` is when it was answered last.
fn ask(server: &Server<'_>, view: &mut View, before: Option<Instant>) -> Result<Instant, Failure> {
    let answer = server.ask("status")?;
    let now = Instant::now();
    let sample = Sample::read(&answer).ok_or_else(|| server.strange(&answer))?;
    let passed = before.map_or(Duration::ZERO, |before| now - before);
    view.told(sample, passed.as_secs_f64());
    Ok(now)
}

fn unwritten(error: io::Error) -> Failure {
    Failure::system("cannot write to standard output", &error)
}

/// Where it is shown.
enum Shown {
    Frames(Option<Terminal>),
    /// A line each interval. The first answer tells no rates, and has none.
    Lines {
        is_first: bool,
    },
}

impl Shown {
    fn new() -> io::Result<Self> {
        Ok(match Terminal::enter()? {
            Some(terminal) => Self::Frames(Some(terminal)),
            None => Self::Lines { is_first: true },
        })
    }

    fn show(&mut self, view: &mut View) -> io::Result<()> {
        match self {
            Self::Frames(_) => self.repaint(view),
            Self::Lines { is_first } => {
                if std::mem::take(is_first) {
                    return Ok(());
                }
                let mut out = io::stdout();
                out.write_all(view.line().as_bytes())?;
                out.flush()
            }
        }
    }

    fn repaint(&mut self, view: &View) -> io::Result<()> {
        match self {
            Self::Frames(Some(terminal)) => {
                let screen = terminal.screen();
                terminal.show(&view.frame(&screen))
            }
            Self::Frames(None) | Self::Lines { .. } => Ok(()),
        }
    }

    /// Gives the terminal back until the shell has this process go on.
    fn suspend(&mut self, view: &View) -> io::Result<()> {
        if let Self::Frames(terminal) = self {
            drop(terminal.take());
        }
        emulate_default_handler(SIGTSTP)?;
        if let Self::Frames(terminal) = self {
            *terminal = Terminal::enter()?;
        }
        self.repaint(view)
    }
}

/// Waits, and hears signals meanwhile.
struct Alarm {
    poll: Poll,
    events: Events,
    signals: Signals,
}

impl Alarm {
    fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH])?;
        let registry = poll.registry();
        registry.register(&mut signals, Token(0), Interest::READABLE)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1),
            signals,
        })
    }

    fn wait(&mut self, until: Instant) -> io::Result<Woken> {
        loop {
            // First those that came before, or in the middle of a question.
            let mut woken = None;
            for signal in self.signals.pending() {
                match signal {
                    SIGWINCH => woken = woken.or(Some(Woken::Resized)),
                    SIGTSTP => woken = Some(Woken::Suspended),
                    _ => return Ok(Woken::Ended),
                }
            }
            if let Some(woken) = woken {
                return Ok(woken);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Woken::Due);
            }
            match self.poll.poll(&mut self.events, Some(left)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => (),
            }
        }
    }
}
