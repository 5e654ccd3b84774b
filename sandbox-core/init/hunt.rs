//! Owns: finding and killing every descendant of this process.  Must not: touch anybody else.
//!
//! A tree that forks while it is killed could outrun a killer. So nobody is killed before all have lost the right to fork
//! (RLIMIT_NPROC 0, which only CAP_SYS_RESOURCE of the host could raise again): a process that is killed frees its place in
//! a limit, one that is only forbidden to fork does not. Where the number of processes is limited this comes to an end.

use crate::agent::PROC_FD;
use crate::sys;

/// How many members of a tree are handled in one round.
const MOST: usize = 4096;
/// How often the tree is searched for new members before the killing begins.
const ROUNDS: u32 = 64;

struct Tree {
    pids: [i32; MOST],
    count: usize,
}

static mut TREE: Tree = Tree { pids: [0; MOST], count: 0 };

impl Tree {
    fn members(&self) -> &[i32] {
        self.pids.get(..self.count).unwrap_or(&[])
    }

    fn add(&mut self, pid: i32) {
        if let Some(place) = self.pids.get_mut(self.count) {
            *place = pid;
            self.count = self.count.wrapping_add(1);
        }
    }
}

/// One round. False: this process can't see the directory of processes, so it can't see its descendants.
pub fn kill_descendants() -> bool {
    // SAFETY: this process has one thread, and this function is not called by itself.
    let tree = unsafe { &mut *&raw mut TREE };
    let mut round = 0u32;
    loop {
        if !find(tree) {
            return false;
        }
        let mut fresh = false;
        for &pid in tree.members() {
            fresh |= sys::forbid_forks(pid);
        }
        round = round.wrapping_add(1);
        if !fresh || round >= ROUNDS {
            break;
        }
    }
    for &pid in tree.members() {
        sys::kill(pid, sys::SIGKILL);
    }
    true
}

/// Fill `tree` with the descendants of this process: a parent has, but for a wrap-around of numbers, a lower number than
/// its child, and the directory is in order. Whom a wrap-around hides becomes our own child when its parent is killed.
fn find(tree: &mut Tree) -> bool {
    tree.count = 0;
    let own = sys::getpid();
    let mut seen_self = false;
    let directory = sys::open(PROC_FD, b".\0");
    if directory < 0 {
        return false;
    }
    let mut buffer = [0u8; 4096];
    loop {
        let got = sys::entries(directory, &mut buffer);
        let Some(mut rest) = usize::try_from(got).ok().filter(|&got| got > 0).and_then(|got| buffer.get(..got)) else {
            break;
        };
        // struct linux_dirent64: inode and offset (u64 each), length (u16), type (u8), name.
        while let Some(&[low, high]) = rest.get(16..18) {
            let length = usize::from(u16::from_le_bytes([low, high]));
            let Some(name) = rest.get(19..length) else { break };
            if let Some(pid) = number(name) {
                seen_self |= pid == own;
                if let Some(parent) = parent(directory, name)
                    && (parent == own || tree.members().contains(&parent))
                {
                    tree.add(pid);
                }
            }
            rest = rest.get(length..).unwrap_or(&[]);
        }
    }
    sys::close(directory);
    seen_self
}

/// The decimal number that a name begins with, if it is one to its NUL.
fn number(name: &[u8]) -> Option<i32> {
    let mut value = 0i32;
    for (index, &byte) in name.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value.wrapping_mul(10).wrapping_add(i32::from(byte.wrapping_sub(b'0'))),
            0 if index > 0 => return Some(value),
            _ => return None,
        }
    }
    None
}

/// Who the parent of the process in the directory `name` is.
fn parent(processes: i32, name: &[u8]) -> Option<i32> {
    let mut path = [0u8; 32];
    let digits = name.iter().take_while(|byte| byte.is_ascii_digit());
    for (to, from) in path.iter_mut().zip(digits.chain(b"/stat\0")) {
        *to = *from;
    }
    let file = sys::open(processes, &path);
    if file < 0 {
        return None;
    }
    let mut text = [0u8; 256];
    let got = sys::read(file, &mut text);
    sys::close(file);
    let text = text.get(..usize::try_from(got).ok()?)?;
    // `pid (name) state parent ..`: the name may contain anything, also brackets, but is the last thing with one.
    let after = text.iter().rposition(|&byte| byte == b')')?;
    let digits = text.get(after.wrapping_add(4)..)?;
    let mut end = digits.split(|&byte| byte == b' ');
    let mut value = 0i32;
    for &byte in end.next()? {
        value = value.wrapping_mul(10).wrapping_add(i32::from(byte.wrapping_sub(b'0')));
    }
    Some(value)
}
