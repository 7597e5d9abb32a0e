//! Parses the types of this crate with their comments, assuming one attribute, field or variant per line.

use std::fs;
use std::path::Path;

/// A source file of the crate.
pub(crate) struct Source {
    pub(crate) items: Vec<Item>,
}

/// A structure, an enumeration or a constant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) comment: String,
    /// The value of a constant.
    pub(crate) value: String,
    /// The fields or variants.
    pub(crate) members: Vec<Member>,
    pub(crate) is_camel_case: bool,
}

/// A field or a variant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) wire_name: String,
    pub(crate) comment: String,
    pub(crate) is_optional: bool,
    pub(crate) rust_type: String,
}

impl Source {
    pub(crate) fn read(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
        let text = fs::read_to_string(path).unwrap();
        let (mut items, mut comment, mut attributes) = (Vec::<Item>::new(), Vec::new(), String::new());
        let mut is_inside = false;
        for line in text.lines() {
            let trimmed = line.trim();
            if let Some(text) = trimmed.strip_prefix("///") {
                comment.push(text.trim().to_owned());
                continue;
            }
            if trimmed.starts_with("#[") {
                attributes.push_str(trimmed);
                continue;
            }
            let (comment, attributes) =
                (plain(&std::mem::take(&mut comment).join(" ")), std::mem::take(&mut attributes));
            if let Some(mut item) = item(trimmed) {
                item.is_camel_case = attributes.contains("rename_all = \"camelCase\"");
                item.comment = comment;
                is_inside = line.ends_with('{');
                items.push(item);
            } else if trimmed == "}" {
                is_inside = false;
            } else if let (true, Some(item)) = (is_inside, items.last_mut()) {
                let member = member(trimmed, &attributes, item.is_camel_case);
                item.members.extend(member.map(|member| Member { comment, ..member }));
            }
        }
        Self { items }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name == name)
    }

    pub(crate) fn item(&self, name: &str) -> &Item {
        self.find(name).unwrap_or_else(|| panic!("there is no {name}"))
    }
}

fn item(line: &str) -> Option<Item> {
    if let Some(constant) = line.strip_prefix("pub const ") {
        let (name, rest) = constant.split_once(':')?;
        let value = rest.split_once('=')?.1.trim().trim_end_matches(';');
        return Some(Item { name: name.to_owned(), value: value.to_owned(), ..Item::default() });
    }
    let declaration = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
    let name = declaration.split(['<', ' ', '{']).next()?;
    Some(Item { name: name.to_owned(), ..Item::default() })
}

fn member(line: &str, attributes: &str, is_camel_case: bool) -> Option<Member> {
    let field = line.strip_prefix("pub ").and_then(|field| field.split_once(": "));
    // Fields filled in by a macro are documented by its declaration.
    if let Some((name, rust_type)) = field.filter(|(name, _)| !name.starts_with('$')) {
        let renamed = attributes.split_once("rename = \"").and_then(|(_, rest)| rest.split('"').next());
        let wire_name = match (renamed, is_camel_case) {
            (Some(renamed), _) => renamed.to_owned(),
            (None, true) => camel_case(name),
            (None, false) => name.to_owned(),
        };
        return Some(Member {
            name: name.to_owned(),
            wire_name,
            comment: String::new(),
            is_optional: attributes.contains("default") || rust_type.starts_with("Option<"),
            rust_type: rust_type.trim_end_matches(',').to_owned(),
        });
    }
    let name = line.split(['(', ',', ' ']).next().filter(|name| name.starts_with(char::is_uppercase))?;
    Some(Member { name: name.to_owned(), ..Member::default() })
}

impl Member {
    /// Returns the JSON type.
    pub(crate) fn wire_type(&self) -> String {
        let inner = self.rust_type.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>'));
        let rust_type = inner.unwrap_or(&self.rust_type);
        let boxed = rust_type.strip_prefix("Box<").and_then(|rest| rest.strip_suffix('>'));
        let rust_type = boxed.unwrap_or(rust_type);
        if let Some(element) = rust_type.strip_prefix("Vec<").and_then(|rest| rest.strip_suffix('>')) {
            return format!("list of {element}");
        }
        match rust_type {
            "String" => "string",
            "i32" | "i64" | "u32" | "u64" => "integer",
            "f32" | "f64" => "number",
            other => other,
        }
        .to_owned()
    }
}

/// Removes rustdoc links, which do not work in the document.
pub(crate) fn plain(comment: &str) -> String {
    let comment = comment.trim();
    let mut text = String::new();
    let mut rest = comment;
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((name, after)) = link.split_once("`]") else {
            break;
        };
        text.push_str(before);
        let name = name.strip_prefix("ErrorCode::").map_or_else(|| name.to_owned(), snake_case);
        text.push_str(&format!("`{name}`"));
        rest = after
            .strip_prefix('(')
            .and_then(|target| target.split_once(')'))
            .map_or(after, |(_, after)| after);
    }
    text.push_str(rest);
    text
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        name + &head.to_uppercase() + tail
    })
}

/// `RegisterAck` is `register_ack` on the wire.
pub(crate) fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(character.to_lowercase());
    }
    text
}
