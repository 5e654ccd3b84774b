//! Owns: the calls of operations on processes: namespaces and groups to be in, terminals, the exec.
//! Must not: touch mounts (mounts.rs) or privileges (privilege.rs).

use crate::plan::op::{Fd, Slot};
use crate::wire;

use super::lowering::{Arg, Lowering, cwd};

impl Lowering<'_> {
    pub fn time_offsets(&mut self, monotonic: i64, boottime: i64) {
        self.write_file(
            "/proc/self/timens_offsets",
            format!("monotonic {monotonic} 0\nboottime {boottime} 0\n").as_bytes(),
        );
    }

    pub fn create_init(&mut self, cgroup: Option<&Fd>, shared: bool, payload: bool) {
        const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
        let memory = if shared { libc::CLONE_VM as u64 } else { 0 };
        let wait = if payload { libc::CLONE_VFORK as u64 } else { 0 };
        let flags = memory | wait | if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
        let cgroup = cgroup.map_or(Arg::from(0), |fd| self.fd(fd));
        self.pseudo(wire::PSEUDO_CLONE, [flags.into(), cgroup]);
    }

    pub fn enter_group(&mut self, tasks: &Fd) {
        // 0 is the one who writes: nobody else's pid is ever written, which would wait for all other CPUs.
        let (tasks, zero) = (self.fd(tasks), self.text(b"0"));
        self.call(libc::SYS_write, [tasks, zero.into(), 1.into()]);
        self.close(tasks);
    }

    pub fn deputize(&mut self, memory: &Fd) {
        let memory = self.fd(memory);
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE);
        self.call(
            libc::SYS_mmap,
            [wire::TABLE_ADDR.into(), wire::TABLE_SIZE.into(), access.into(), kind.into(), memory, 0.into()],
        );
        self.pseudo(wire::PSEUDO_DEPUTIZE, [wire::TABLE_ADDR.into()]);
    }

    pub fn serve(&mut self, socket: &Fd, ruleset: Option<&Fd>) {
        let (processes, proc) = (self.word(), self.text(b"/proc"));
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        self.call_into(libc::SYS_openat, [cwd(), proc.into(), flags.into(), 0.into()], processes);
        let (socket, ruleset) = (self.fd(socket), ruleset.map_or(Arg::from(-1), |fd| self.fd(fd)));
        self.pseudo(wire::PSEUDO_SERVE, [socket, ruleset, Arg::At(processes)]);
    }

    pub fn open_terminal(&mut self, columns: u16, rows: u16, host: &Slot, payload: &Slot) {
        /// As ints everywhere, whatever type the C library's header gives them.
        const TIOCSPTLCK: u32 = libc::TIOCSPTLCK as u32;
        const TIOCGPTPEER: u32 = libc::TIOCGPTPEER as u32;
        const TIOCSWINSZ: u32 = libc::TIOCSWINSZ as u32;
        let (host, payload, path) = (self.slot(host), self.slot(payload), self.text(b"/dev/ptmx"));
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        self.call_into(libc::SYS_openat, [cwd(), path.into(), flags.into(), 0.into()], host);
        let unlocked = self.words(&[0]);
        self.call(libc::SYS_ioctl, [Arg::At(host), TIOCSPTLCK.into(), unlocked.into()]);
        // struct winsize: rows, columns, two that nobody uses; u16 each.
        let size = self.words(&[u64::from(rows) | u64::from(columns) << 16]);
        self.call(libc::SYS_ioctl, [Arg::At(host), TIOCSWINSZ.into(), size.into()]);
        self.call_into(libc::SYS_ioctl, [Arg::At(host), TIOCGPTPEER.into(), flags.into()], payload);
    }

    pub fn own_pid(&mut self, variable: &str) {
        let mut text = format!("{variable}=").into_bytes();
        let digits = text.len() as u64;
        text.extend_from_slice(&[0; 12]);
        let at = self.fresh_text(&text);
        self.pid_texts.push(at);
        self.pseudo(wire::PSEUDO_PID, [(at + digits).into()]);
    }

    pub fn execute(&mut self, candidates: &[Vec<u8>], argv: &[Vec<u8>], env: &[Vec<u8>]) {
        let (paths, argv) = (self.list(candidates), self.list(argv));
        let mut words: Vec<u64> = env.iter().map(|variable| self.text(variable)).collect();
        words.extend(&self.pid_texts);
        words.push(0);
        let env = self.words(&words);
        self.pseudo(wire::PSEUDO_EXEC, [paths.into(), argv.into(), env.into()]);
    }

    pub fn loopback_up(&mut self) {
        /// As an int everywhere, whatever type the C library's header gives it.
        const SIOCSIFFLAGS: i32 = libc::SIOCSIFFLAGS as i32;
        let socket = self.word();
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        self.call_into(libc::SYS_socket, [libc::AF_INET.into(), kind.into(), 0.into()], socket);
        // struct ifreq: 16 bytes of name, then the flags.
        let mut request = [0u8; 40];
        request[..2].copy_from_slice(b"lo");
        request[16..18].copy_from_slice(&((libc::IFF_UP | libc::IFF_RUNNING) as u16).to_ne_bytes());
        let request = self.bytes(&request);
        self.call(libc::SYS_ioctl, [Arg::At(socket), SIOCSIFFLAGS.into(), request.into()]);
        self.close(Arg::At(socket));
    }
}
