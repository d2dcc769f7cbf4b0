//! How the daemon stands, in a line for the service manager: what `systemctl status` shows.

use std::fmt;

use crate::engine::{Engine, Lack, Standing};
use crate::wire::jool::InstanceName;

/// All that the line is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    standing: Standing,
    /// What of the kernel is missing.
    lack: Option<Lack>,
    instance: InstanceName,
    /// How many other routers with this joold there are.
    others: usize,
    /// Whether datagrams pass, as far as this router's interfaces go.
    passes: bool,
}

impl Outlook {
    /// Of a daemon with this engine.
    pub fn of(engine: &Engine, instance: InstanceName, passes: bool) -> Self {
        Self {
            standing: engine.standing(),
            lack: engine.lack(),
            instance,
            others: engine.sync().map_or(0, |sync| sync.peers().len()),
            passes,
        }
    }
}

impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instance = self.instance;
        write!(f, "{}", self.standing)?;
        match self.lack {
            Some(Lack::Module) => f.write_str(": Jool's kernel module is not loaded")?,
            Some(Lack::Instance) => write!(f, ": the instance {instance} is missing")?,
            Some(Lack::Answer) => {
                write!(f, ": the kernel tells nothing of the instance {instance}")?
            }
            Some(Lack::Synchronization) => {
                write!(f, ": synchronization is off at the instance {instance}")?;
            }
            None => match self.standing {
                Standing::Joining => f.write_str(": the table of another router is being read")?,
                Standing::Lagging => f.write_str(": something of another router is missing")?,
                _ => (),
            },
        }
        if !self.passes {
            f.write_str("; an interface to the other routers is missing or down")?;
        }
        match self.others {
            0 => (),
            1 => f.write_str("; 1 other router")?,
            others => write!(f, "; {others} other routers")?,
        }
        f.write_str(match self.standing.may_take_over() {
            true => "; may become master",
            false => "; may not become master",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_SYNC: Outlook = Outlook {
        standing: Standing::InSync,
        lack: None,
        instance: InstanceName::DEFAULT,
        others: 2,
        passes: true,
    };

    #[test]
    fn the_line_tells_what_is_missing_and_whether_the_router_may_become_master() {
        assert_eq!(
            IN_SYNC.to_string(),
            "in sync; 2 other routers; may become master"
        );
        let lacking = |lack| Outlook {
            standing: Standing::WithoutKernel,
            lack: Some(lack),
            others: 0,
            ..IN_SYNC
        };
        for (lack, words) in [
            (Lack::Module, "Jool's kernel module is not loaded"),
            (Lack::Instance, "the instance default is missing"),
            (
                Lack::Answer,
                "the kernel tells nothing of the instance default",
            ),
            (
                Lack::Synchronization,
                "synchronization is off at the instance default",
            ),
        ] {
            assert_eq!(
                lacking(lack).to_string(),
                format!("without kernel: {words}; may not become master")
            );
        }
        let cut = Outlook {
            standing: Standing::Alone,
            others: 0,
            passes: false,
            ..IN_SYNC
        };
        assert_eq!(
            cut.to_string(),
            "alone; an interface to the other routers is missing or down; may become master"
        );
        let behind = Outlook {
            standing: Standing::Lagging,
            others: 1,
            ..IN_SYNC
        };
        assert_eq!(
            behind.to_string(),
            "lagging: something of another router is missing; 1 other router; may not become master"
        );
    }
}
