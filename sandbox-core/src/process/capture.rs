//! Owns: what a stream has said so far, bounded.  Must not: block.

use std::io::PipeReader;

use nix::errno::Errno;

/// One captured stream.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    bytes: Option<Vec<u8>>,
    pub truncated: bool,
}

impl Capture {
    /// From here on there is something to tell, if only that nothing was written.
    pub fn begin(&mut self) {
        self.bytes.get_or_insert_default();
    }

    /// One read of a pipe that is ready. True: the stream has ended.
    pub fn read(&mut self, pipe: &PipeReader, limit: u64) -> bool {
        let bytes = self.bytes.get_or_insert_default();
        // A quarter of a full pipe: a larger one would cost more to clear than most payloads write.
        let mut chunk = [0; 16 << 10];
        match nix::unistd::read(pipe, &mut chunk) {
            Ok(0) => true,
            Ok(got) => {
                let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(bytes.len());
                self.truncated |= got > room;
                bytes.extend_from_slice(chunk.get(..got.min(room)).unwrap_or_default());
                false
            }
            Err(Errno::EINTR | Errno::EAGAIN) => false,
            // A pipe does not fail otherwise; whatever it was, there is nothing more to read.
            Err(_) => true,
        }
    }

    /// What was read, and whether more was thrown away. None: nothing was captured.
    pub fn finish(&mut self) -> Option<(Vec<u8>, bool)> {
        self.bytes.take().map(|bytes| (bytes, self.truncated))
    }
}
