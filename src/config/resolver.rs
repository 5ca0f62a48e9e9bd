//! config: the common part of all sections while they become settings: it reports mistakes, and lists
//! every option.

use std::ops::Range;

use super::claim::Claim;
use super::error::Mistake;
use super::raw::Section;
use super::row::{Listed, listed};
use crate::model::options::{Limit, Ms, Options, Value};

const MINUTE: i64 = 60_000;
pub(super) const DAY: i64 = 1_440 * MINUTE;
pub(super) const YEAR: i64 = 365 * DAY;

/// On the way from sections to settings.
pub(super) struct Resolver<'a> {
    pub(super) mistakes: &'a mut Vec<Mistake>,
    /// Every option so far, with its state.
    pub(super) listed: Vec<Listed>,
    /// The addresses on which the options so far listen.
    pub(super) claims: Vec<Claim>,
}

impl Resolver<'_> {
    pub(super) fn tell(
        &mut self,
        section: &Section<'_>,
        name: &str,
        span: Range<usize>,
        message: &str,
        hint: impl Into<String>,
    ) {
        let key = section.full(name);
        let message = format!("`{key}`: {message}");
        self.mistakes.push(Mistake { key, message, hint: hint.into(), span });
    }

    /// The options of a section, if it is there, over their defaults.
    pub(super) fn fill<O: Options + Default>(&mut self, section: Option<&Section<'_>>) -> O {
        let mut options = O::default();
        if let Some(section) = section {
            self.set(section, &mut options);
        }
        options
    }

    /// Sets what a section says of these options.
    pub(super) fn set(&mut self, section: &Section<'_>, options: &mut dyn Options) {
        for key in options.keys() {
            let Some(given) = section.given(key.name) else { continue };
            for wrong in options.set(key.name, &given) {
                let span = section.place(key.name, wrong.item);
                self.tell(section, key.name, span, &wrong.message, wrong.hint);
            }
        }
    }

    /// Tells of a length of time that is shorter than another option allows.
    pub(super) fn at_least(&mut self, section: &Section<'_>, name: &str, least: i64) {
        let Some(given) = section.given(name) else { return };
        let Ok(value) = Ms::read(&given) else { return };
        let range = least..=YEAR;
        for wrong in range.check(&value, &given) {
            let hint = Limit::<Ms>::range(&range).unwrap_or_default();
            self.tell(section, name, section.place(name, None), &wrong.message, hint);
        }
    }

    /// Lists what options amount to.
    pub(super) fn list<O: Options + Default>(&mut self, section: &str, options: &O) {
        self.listed.extend(listed(section, options, &O::default()));
    }
}
