//! Owns: what the feature `tracing` tells a subscriber.  Must not: depend on a subscriber's library.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use pinfold::Sandbox;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Every event of ours, as one line.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a text takes everything");
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "pinfold"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn heard(act: impl FnOnce()) -> Vec<String> {
    let heard = Heard::default();
    tracing::subscriber::with_default(heard.clone(), act);
    heard.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[test]
fn a_subscriber_hears_of_a_payload_but_not_what_it_was_given() {
    let lines = heard(|| {
        let sandbox = Sandbox::builder().build().expect("a sandbox");
        let command = sandbox.command("sh").args(["-c", "exit 3 # secret"]).env("TOKEN", "secret");
        let outcome = command.spawn().and_then(|process| process.wait());
        assert_eq!(outcome.expect("it ran").code(), Some(3));
        sandbox.command("secret-program").output().expect_err("there is none");
    });
    let parts = ["sandbox settled", "payload started", "ended=\"exited\" exit_code=3", "kind=\"program_not_found\""];
    for part in parts {
        assert_eq!(lines.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:#?}");
}
