//! Loom's `Arc` and `Mutex`, in the form that the slots use.

pub(crate) use loom::sync::Arc;

/// A mutex whose `lock` gives the guard, as parking_lot's does.
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        // Loom ends the whole exploration at a panic, so nobody sees a poisoned one.
        self.0.lock().unwrap()
    }
}
