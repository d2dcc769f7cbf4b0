/// The port id of the simulated kernel, one in each network namespace. A real kernel's is 0.
///
/// Read by `build.rs` too, which tells the preloaded library. Far above every process id, which is
/// what the kernel gives to a process's first netlink socket.
pub const PORT: u32 = 0x4a4f_4f4c;
