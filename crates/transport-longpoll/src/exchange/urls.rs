//! URLs that were read already: a poll asks for the same one again and again, and reading it is an eighth of its work.

use reqwest::Url;

/// As many are kept.
const KEPT: usize = 16;

/// The URLs that were asked for last, the latest first.
#[derive(Default)]
pub(super) struct Urls(Vec<(String, Url)>);

impl Urls {
    /// Reads a URL; `None` if it is none.
    pub(super) fn read(&mut self, text: String) -> Option<Url> {
        let place = self.0.iter().position(|(known, _)| *known == text);
        if let Some(place) = place {
            // Those that are asked for once, such as locks, are forgotten first.
            self.0[..=place].rotate_right(1);
        } else {
            let url = Url::parse(&text).ok()?;
            self.0.truncate(KEPT - 1);
            self.0.insert(0, (text, url));
        }
        self.0.first().map(|(_, url)| url.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_it_would_be_anew_whatever_was_read_before() {
        let mut urls = Urls::default();
        let poll = "https://host/q/messages/head?timeout=60";
        for lock in 0..3 * KEPT {
            for text in [poll.to_owned(), format!("https://HOST/q/messages/{lock}")] {
                assert_eq!(urls.read(text.clone()), Some(Url::parse(&text).unwrap()));
            }
            assert_eq!(urls.read("no url".to_owned()), None);
            assert!(urls.0.len() <= KEPT);
            assert!(urls.0.iter().any(|(known, _)| known == poll), "it is asked for all the time");
        }
    }
}
