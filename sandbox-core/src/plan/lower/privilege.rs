//! Owns: the calls that take away what a payload may do: ids, capabilities, filters, Landlock.
//! Must not: decide what it keeps.

use crate::plan::op::{LandlockRule, Slot};

use super::lowering::{Arg, Lowering, cwd};

impl Lowering<'_> {
    pub fn drop_bounding_set(&mut self, keep: u64, last: u8) {
        for capability in (0..=last).filter(|bit| keep & 1 << bit == 0) {
            self.prctl(libc::PR_CAPBSET_DROP, capability.into());
        }
    }

    pub fn install_filter(&mut self, program: &[u64], flags: u64) {
        let program_at = self.words(program);
        // struct sock_fprog: u16 length, padding, pointer.
        let fprog = self.words(&[program.len() as u64, program_at]);
        self.call(libc::SYS_seccomp, [libc::SECCOMP_SET_MODE_FILTER.into(), flags.into(), fprog.into()]);
    }

    pub fn prepare_landlock(
        &mut self,
        file_system: u64,
        network: u64,
        scoped: u64,
        rules: &[LandlockRule],
        abi: u32,
        into: &Slot,
    ) {
        let into = self.slot(into);
        let attr = self.words(&[file_system, network, scoped]);
        let size: usize = match abi {
            0..=3 => 8,
            4..=5 => 16,
            _ => 24,
        };
        self.call_into(libc::SYS_landlock_create_ruleset, [attr.into(), size.into(), 0.into()], into);
        for rule in rules {
            // struct landlock_path_beneath_attr: u64 access, s32 fd (packed); init stores the fd as a whole
            // word, whose low half comes first on the little-endian machines that init is written for.
            let path = self.path(rule.path.as_path());
            let attr = self.words(&[rule.access, 0]);
            let flags = libc::O_PATH | libc::O_CLOEXEC;
            self.call_into(libc::SYS_openat, [cwd(), path.into(), flags.into(), 0.into()], attr + 8);
            self.call(libc::SYS_landlock_add_rule, [Arg::At(into), 1.into(), attr.into(), 0.into()]);
            self.close(Arg::At(attr + 8));
        }
    }

    pub fn set_ids(&mut self, uid: u32, gid: u32, groups: Option<&[u32]>) {
        if let Some(groups) = groups {
            let list: Vec<u8> = groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
            let at = self.bytes(&list);
            self.call(libc::SYS_setgroups, [groups.len().into(), at.into()]);
        }
        self.call(libc::SYS_setresgid, [gid.into(), gid.into(), gid.into()]);
        self.call(libc::SYS_setresuid, [uid.into(), uid.into(), uid.into()]);
    }

    /// Ambient needs permitted and inheritable, securebits need CAP_SETPCAP: so inheritable first, then both, then the rest goes.
    pub fn set_capabilities(&mut self, keep: u64, all: u64, securebits: Option<u32>) {
        const PR_CAP_AMBIENT_RAISE: u64 = 2;
        const PR_CAP_AMBIENT_CLEAR_ALL: u64 = 4;
        // Without any kept, capset(2) below empties the ambient set too (capabilities(7): what is not both permitted and
        // inheritable leaves it).
        if keep != 0 {
            self.call(
                libc::SYS_prctl,
                [libc::PR_CAP_AMBIENT.into(), PR_CAP_AMBIENT_CLEAR_ALL.into(), 0.into(), 0.into(), 0.into()],
            );
            self.capset(all, all, keep);
            for capability in (0..64u8).filter(|bit| keep & 1 << bit != 0) {
                self.call(
                    libc::SYS_prctl,
                    [
                        libc::PR_CAP_AMBIENT.into(),
                        PR_CAP_AMBIENT_RAISE.into(),
                        u64::from(capability).into(),
                        0.into(),
                        0.into(),
                    ],
                );
            }
        }
        if let Some(bits) = securebits {
            self.prctl(libc::PR_SET_SECUREBITS, bits.into());
        }
        self.capset(keep, keep, keep);
    }

    fn capset(&mut self, effective: u64, permitted: u64, inheritable: u64) {
        const VERSION_3: u64 = 0x2008_0522;
        let header = self.words(&[VERSION_3]);
        let half = |set: u64, high: bool| if high { set >> 32 } else { set & 0xFFFF_FFFF };
        let pack = |low: u64, high: u64| low | high << 32;
        let data = self.words(&[
            pack(half(effective, false), half(permitted, false)),
            pack(half(inheritable, false), half(effective, true)),
            pack(half(permitted, true), half(inheritable, true)),
        ]);
        self.call(libc::SYS_capset, [header.into(), data.into()]);
    }
}
