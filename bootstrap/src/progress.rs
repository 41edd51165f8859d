//! What the person sees while something takes time: every piece of a target says where it came
//! from and what it is doing. Drawing is the caller's business.

/// One line of news about one piece of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Work on a piece begins.
    Started { piece: String },
    /// Something changed that is worth a line of text.
    Note { piece: String, text: String },
    /// The piece is usable; `origin` says where it came from (given, cache, build, …).
    Ready {
        piece: String,
        origin: String,
        milliseconds: u128,
    },
}

/// Receives progress from any thread.
pub trait Progress: Send + Sync {
    /// Takes one piece of news; must not block.
    fn report(&self, event: Event);
}

/// Discards everything.
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _event: Event) {}
}

impl<F: Fn(Event) + Send + Sync> Progress for F {
    fn report(&self, event: Event) {
        self(event);
    }
}

/// Times one piece and reports its beginning and end.
pub(crate) struct Piece<'a> {
    name: String,
    progress: &'a dyn Progress,
    started: std::time::Instant,
}

impl<'a> Piece<'a> {
    pub(crate) fn start(progress: &'a dyn Progress, name: &str) -> Self {
        progress.report(Event::Started {
            piece: name.to_owned(),
        });
        Self {
            name: name.to_owned(),
            progress,
            started: std::time::Instant::now(),
        }
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        self.progress.report(Event::Note {
            piece: self.name.clone(),
            text: text.into(),
        });
    }

    pub(crate) fn ready(self, origin: impl Into<String>) -> std::time::Duration {
        let took = self.started.elapsed();
        self.progress.report(Event::Ready {
            piece: self.name,
            origin: origin.into(),
            milliseconds: took.as_millis(),
        });
        took
    }
}
