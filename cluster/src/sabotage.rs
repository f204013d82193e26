//! Rules that tests break on purpose, to see that they are missed. Outside of tests they cannot be broken.

#[cfg(not(test))]
mod switch {
    /// A rule that holds.
    pub(crate) struct Switch;

    impl Switch {
        pub(crate) const fn is_on(&self) -> bool {
            false
        }
    }

    pub(crate) static NO_FENCING: Switch = Switch;
    pub(crate) static NO_GUESTS: Switch = Switch;
    pub(crate) static NO_INCARNATION_CHECK: Switch = Switch;
}

pub(crate) use switch::{NO_FENCING, NO_GUESTS, NO_INCARNATION_CHECK};

#[cfg(test)]
mod switch {
    use std::cell::Cell;
    use std::thread::LocalKey;

    thread_local! {
        static FENCING: Cell<bool> = const { Cell::new(false) };
        static GUESTS: Cell<bool> = const { Cell::new(false) };
        static INCARNATION: Cell<bool> = const { Cell::new(false) };
    }

    /// A rule that can be broken on this thread.
    pub(crate) struct Switch(&'static LocalKey<Cell<bool>>);

    impl Switch {
        pub(crate) fn is_on(&self) -> bool {
            self.0.get()
        }

        pub(crate) fn set(&self, on: bool) {
            self.0.set(on);
        }
    }

    pub(crate) static NO_FENCING: Switch = Switch(&FENCING);
    pub(crate) static NO_GUESTS: Switch = Switch(&GUESTS);
    pub(crate) static NO_INCARNATION_CHECK: Switch = Switch(&INCARNATION);
}
