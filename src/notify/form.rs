//! notify: forms with a file, as browsers send them: multipart/form-data.

/// A form.
pub struct Form {
    mark: String,
    body: Vec<u8>,
}

impl Form {
    /// An empty one. `key` makes its parts' mark, which must not stand in them.
    pub fn new(key: &str) -> Self {
        let key: String = key.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        Self { mark: format!("plimsoll-{key}-part"), body: Vec::new() }
    }

    /// With a field of text.
    #[must_use]
    pub fn field(self, name: &str, value: &str) -> Self {
        self.part(&format!("name=\"{name}\""), None, value.as_bytes())
    }

    /// With a file.
    #[must_use]
    pub fn file(self, name: &str, file: &str, content: &str, bytes: &[u8]) -> Self {
        self.part(&format!("name=\"{name}\"; filename=\"{file}\""), Some(content), bytes)
    }

    fn part(mut self, names: &str, content: Option<&str>, bytes: &[u8]) -> Self {
        let content = content.map_or_else(String::new, |c| format!("Content-Type: {c}\r\n"));
        let head =
            format!("--{}\r\nContent-Disposition: form-data; {names}\r\n{content}\r\n", self.mark);
        self.body.extend_from_slice(head.as_bytes());
        self.body.extend_from_slice(bytes);
        self.body.extend_from_slice(b"\r\n");
        self
    }

    /// The content type and the body.
    pub fn done(mut self) -> (String, Vec<u8>) {
        self.body.extend_from_slice(format!("--{}--\r\n", self.mark).as_bytes());
        (format!("multipart/form-data; boundary={}", self.mark), self.body)
    }
}
