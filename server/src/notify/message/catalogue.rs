//! The texts of messages in all languages: `notify/messages/*.yaml`.

use std::collections::BTreeMap;

use serde::Deserialize;

const EN: &str = include_str!("../messages/en.yaml");
const ZH: &str = include_str!("../messages/zh.yaml");

/// The texts cannot be read: a bug in Pika itself.
#[derive(Debug, thiserror::Error)]
#[error("the texts of messages in {language} cannot be read")]
pub struct CatalogueError {
    /// The language.
    language: &'static str,
    /// The parse error.
    source: serde_norway::Error,
}

/// A language of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Chinese.
    Chinese,
}

impl Language {
    /// All languages.
    pub const ALL: [Language; 2] = [Language::English, Language::Chinese];

    /// Returns the language's code.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh",
        }
    }

    /// Returns the language with this code.
    pub fn parse(name: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.as_str() == name)
    }

    fn text(self) -> &'static str {
        match self {
            Language::English => EN,
            Language::Chinese => ZH,
        }
    }
}

/// The texts for a kind of condition.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubjectText {
    /// What it is, as a title: "Disk almost full".
    pub(super) what: String,
    /// Its state, for the title of a message: "{value} full".
    pub(super) short: String,
}

/// The texts of one language. `{…}` stands for a value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Texts {
    pub(super) texts: BTreeMap<String, String>,
    pub(super) subjects: BTreeMap<String, SubjectText>,
    pub(super) end_reasons: BTreeMap<String, String>,
    pub(super) functions: BTreeMap<String, String>,
    pub(super) units: BTreeMap<String, String>,
}

impl Texts {
    /// Returns a text with its values. A missing text is replaced by its key, so that there is some text at all.
    pub(super) fn say(&self, key: &str, values: &[(&str, &str)]) -> String {
        fill(self.texts.get(key).map_or(key, String::as_str), values)
    }
}

/// Replaces names by values in one pass: names within values are not replaced.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            break;
        };
        filled.push_str(before);
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            filled.push_str(value);
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The texts of all languages.
#[derive(Clone, Debug)]
pub struct Catalogue {
    english: Texts,
    chinese: Texts,
}

impl Catalogue {
    /// Loads the built-in texts.
    ///
    /// # Errors
    /// If they cannot be read; a test ensures that they can.
    pub fn load() -> Result<Self, CatalogueError> {
        let read = |language: Language| {
            serde_norway::from_str(language.text())
                .map_err(|source| CatalogueError { language: language.as_str(), source })
        };
        Ok(Self { english: read(Language::English)?, chinese: read(Language::Chinese)? })
    }

    pub(super) fn texts(&self, language: Language) -> &Texts {
        match language {
            Language::English => &self.english,
            Language::Chinese => &self.chinese,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns every key, with the names of the values in its text.
    fn keys(texts: &Texts) -> BTreeMap<String, Vec<String>> {
        let names = |text: &str| {
            let mut names: Vec<_> =
                text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        let all = [&texts.texts, &texts.end_reasons, &texts.functions, &texts.units];
        let plain = all.iter().enumerate().flat_map(|(index, map)| {
            map.iter().map(move |(key, text)| (format!("{index} {key}"), names(text)))
        });
        let subjects = texts.subjects.iter().map(|(key, text)| {
            (format!("subject {key}"), [names(&text.what), vec!["|".to_owned()], names(&text.short)].concat())
        });
        plain.chain(subjects).collect()
    }

    #[test]
    fn all_languages_have_the_same_texts() {
        let catalogue = Catalogue::load().unwrap();
        assert_eq!(keys(catalogue.texts(Language::English)), keys(catalogue.texts(Language::Chinese)));
    }

    #[test]
    fn a_value_is_not_a_template() {
        assert_eq!(fill("{a} and {b}{c}", &[("a", "{b}"), ("b", "x")]), "{b} and x");
        assert_eq!(fill("{a", &[("a", "x")]), "{a");
    }
}
