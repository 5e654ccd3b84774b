//! Owns: the section `fds`.  Must not: hold an open file; live fds are attached when a payload is started.

use serde::{Deserialize, Serialize};

/// One entry of `[[fds]]`: an open file that the payload gets. It has exactly one of `target`, `socket_activation` and
/// `inetd`; the live file is attached by its name when a payload is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct FdConfig {
    /// The name by which the caller attaches the file, and its name in `LISTEN_FDNAMES`: 1 to 255 printable ASCII
    /// characters without `:`. Required. Example: `name = "http"`.
    pub name: Option<String>,
    /// The number the file has inside: 3 to 1023. Default: none. Example: `target = 3`.
    pub target: Option<u32>,
    /// Whether it is one of the sockets of `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`, which are numbered from 3 in
    /// the order of their declaration. Default: false. Example: `socket_activation = true`.
    pub socket_activation: Option<bool>,
    /// Whether it is standard input and output, as inetd does. Default: false. Example: `inetd = true`.
    pub inetd: Option<bool>,
}

/// An open file that the payload gets: short for [`FdConfig`].
pub type Fd = FdConfig;

impl FdConfig {
    /// The file attached as `name` has the number `target` inside.
    pub fn number(name: impl Into<String>, target: u32) -> Self {
        Self { name: Some(name.into()), target: Some(target), ..Self::default() }
    }

    /// The socket attached as `name` is passed as systemd does (`LISTEN_FDS`).
    pub fn socket_activation(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), socket_activation: Some(true), ..Self::default() }
    }

    /// The socket attached as `name` is standard input and output.
    pub fn inetd(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), inetd: Some(true), ..Self::default() }
    }
}
