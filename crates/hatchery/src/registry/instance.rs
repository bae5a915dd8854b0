//! Installations that must not see each other, told apart by name and token.

use serde::{Deserialize, Serialize};

/// Which installation this is. Runs of one instance share a registry; other instances' runs are never touched, even if
/// they keep their data in the same folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Instance {
    /// Its name. Default: `default`.
    pub name: String,
    /// Tells apart instances that must share a name: jobs of one program on one machine. Default: none.
    pub token: Option<String>,
}

impl Default for Instance {
    fn default() -> Instance {
        Instance { name: "default".to_owned(), token: None }
    }
}

impl Instance {
    /// Its folder: the name, or `<name>__<token>`, in which anything but ASCII letters, digits, `_` and `-` becomes `_`.
    ///
    /// ```
    /// use hatchery::Instance;
    ///
    /// let instance = Instance { name: "my app".into(), token: Some("run-a".into()) };
    /// assert_eq!(instance.folder(), "my_app__run-a");
    /// assert_eq!(Instance { name: "../..".into(), token: None }.folder(), "_____");
    /// ```
    pub fn folder(&self) -> String {
        let name = if self.name.is_empty() { "default" } else { &self.name };
        match &self.token {
            Some(token) => format!("{}__{}", plain(name), plain(token)),
            None => plain(name),
        }
    }
}

fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}
