//! Owns: what may take long, done on the runtime's own worker pool, as its file system calls are.
//! Must not: start a thread; let go of a JavaScript value anywhere but on its own thread.

use napi::bindgen_prelude::*;
use napi::{Env, Task};

type Work<T> = Box<dyn FnMut() -> Result<T> + Send>;

/// A piece of work for the pool. What it holds goes on the event loop's thread, where it was made.
pub struct Aside<T, J = T> {
    work: Work<T>,
    /// On the event loop's thread, if the result arrives there.
    hand: fn(T) -> J,
}

/// The work as a promise. It is begun at once.
pub fn aside<T>(work: impl FnMut() -> Result<T> + Send + 'static) -> AsyncTask<Aside<T>>
where
    T: Send + ToNapiValue + TypeName + 'static,
{
    AsyncTask::new(Aside { work: Box::new(work), hand: |result| result })
}

/// The same, of which JavaScript gets something else.
pub fn aside_as<T: Send + 'static, J: ToNapiValue + TypeName>(
    work: impl FnMut() -> Result<T> + Send + 'static,
    hand: fn(T) -> J,
) -> AsyncTask<Aside<T, J>> {
    AsyncTask::new(Aside { work: Box::new(work), hand })
}

impl<T: Send + 'static, J: ToNapiValue + TypeName> Task for Aside<T, J> {
    type Output = T;
    type JsValue = J;

    fn compute(&mut self) -> Result<T> {
        (self.work)()
    }

    fn resolve(&mut self, _: Env, output: T) -> Result<J> {
        Ok((self.hand)(output))
    }
}
