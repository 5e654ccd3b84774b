//! Owns: the word the hint table knows an operation by, and what an operation is about.  Must not: know any hint.

use super::op::Op;

impl Op {
    /// The operation as `error/hint.rs` calls it.
    pub(crate) fn hint_word(&self) -> String {
        match self {
            Self::JoinNamespace { kind, .. } => return format!("join {kind}"),
            Self::OpenNamespace { kind, .. } => return format!("open {kind}"),
            Self::NewFileSystem { kind, .. } | Self::MountAt { kind, .. } => return format!("mount {kind}"),
            Self::SetRlimit { name, .. } => return format!("setrlimit {name}"),
            Self::Unshare { .. } => "unshare",
            Self::TimeOffsets { .. } => "write time offsets",
            Self::MapIds { .. } => "write uid_map",
            Self::CreateInit { cgroup: None, .. } | Self::StartPayload => "clone3",
            Self::Serve { .. } => "open proc",
            Self::OpenTerminal { .. } | Self::ControlTerminal { .. } => "open terminal",
            Self::CreateInit { cgroup: Some(_), .. } => "clone into cgroup",
            Self::EnterGroup { .. } => "enter cgroup",
            Self::SetIds { .. } => "setresuid",
            Self::SetHostname { .. } => "sethostname",
            Self::LoopbackUp => "set loopback",
            Self::CloneTree { .. } | Self::CloneFd { .. } | Self::CloneBelow { .. } => "clone source",
            Self::SetAttributes { .. } | Self::SetPropagation { .. } | Self::IdMapMount { .. } => "mount_setattr",
            Self::MakeDir { .. } => "create directory",
            Self::MakeNode { .. } => "create file",
            Self::MakeFile { .. } | Self::WriteFile { .. } => "write file",
            Self::MakeSymlink { .. } => "create symlink",
            Self::Resolve { .. } => "resolve target",
            Self::Attach { .. } => "move_mount",
            Self::Bind { .. } => "mount bind",
            Self::Detach { .. } | Self::EnterRoot { .. } | Self::PivotRoot { .. } => "pivot_root",
            Self::MountOverlay { .. } => "mount overlay",
            Self::SetOwner { .. } => "chown",
            Self::ClaimUpper { .. } => "claim upper",
            Self::OpenBelow { .. } | Self::OpenRoot { .. } => "open file",
            Self::SendFd { .. } => "send fd",
            Self::Deputize { .. } => "map calls",
            Self::NewKeyring => "new keyring",
            Self::InstallFilter { .. } => "seccomp",
            Self::PrepareLandlock { .. } | Self::RestrictSelf { .. } => "landlock",
            Self::SetNice { .. } => "setpriority",
            Self::ChangeDirectory { .. } => "chdir",
            Self::SetCapabilities { .. } | Self::DropBoundingSet { .. } | Self::KeepCapabilities => "capset",
            Self::Execute { .. } => "execve",
            _ => "prctl",
        }
        .to_owned()
    }

    /// The path, program or name it is about.
    pub(crate) fn subject(&self) -> Option<String> {
        match self {
            Self::CloneTree { path, .. } => Some(path.display().to_string()),
            Self::ClaimUpper { upper, .. } => Some(upper.display().to_string()),
            Self::Resolve { path, .. } => Some(format!("/{}", path.display())),
            Self::MakeDir { name, .. }
            | Self::MakeNode { name, .. }
            | Self::MakeFile { name, .. }
            | Self::MakeSymlink { name, .. }
            | Self::MountAt { name, .. }
            | Self::Bind { name, .. }
            | Self::Attach { name, .. }
                if !name.as_os_str().is_empty() =>
            {
                Some(name.display().to_string())
            }
            Self::ChangeDirectory { path } => Some(path.as_path().display().to_string()),
            Self::Execute { program, .. } => Some(program.clone()),
            Self::SetHostname { name } => Some(name.clone()),
            _ => None,
        }
    }
}
