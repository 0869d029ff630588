// SPDX-License-Identifier: Apache-2.0
//! Chat templates: what a model that learned to converse wants around what is said to it.

use std::path::Path;

use hf_chat_template::{ChatTemplate, Message, TokenizerConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::HostError;

/// Its file in a model directory, which goes before the key of the same name in [`CONFIG`].
const TEMPLATE: &str = "chat_template.jinja";
/// Names the special tokens that a template may put in.
const CONFIG: &str = "tokenizer_config.json";
/// Keys of it that templates look at.
const KEYS: [&str; 6] = ["chat_template", "bos_token", "eos_token", "pad_token", "unk_token", "cls_token"];

/// The chat template of a model, with the special tokens that it may put in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Chat(Map<String, Value>);

impl Chat {
    /// The template of the model directory `dir`: `chat_template.jinja`, or what `tokenizer_config.json` says. `None` when
    /// neither has one, as for a model that never learned to converse.
    ///
    /// # Errors
    ///
    /// [`HostError::Corrupt`] when a file is there but is none, or no template; [`HostError::Unreadable`].
    pub fn load(dir: &Path) -> Result<Option<Self>, HostError> {
        let mut keys = match crate::files::read_if_there(dir, CONFIG)? {
            Some(bytes) => keys(&bytes).map_err(|source| HostError::Corrupt {
                path: dir.join(CONFIG),
                expected: "an object in JSON",
                reason: source.to_string(),
            })?,
            None => Map::new(),
        };
        let mut path = dir.join(CONFIG);
        if let Some(bytes) = crate::files::read_if_there(dir, TEMPLATE)? {
            path = dir.join(TEMPLATE);
            let text = String::from_utf8(bytes).map_err(|source| HostError::Corrupt {
                path: path.clone(),
                expected: "a template in UTF-8",
                reason: source.to_string(),
            })?;
            keys.insert(KEYS[0].to_owned(), text.into());
        }
        if !keys.contains_key(KEYS[0]) {
            return Ok(None);
        }
        let chat = Self(keys);
        let corrupt = |reason| HostError::Corrupt { path, expected: "a chat template in Jinja", reason };
        chat.template().map_err(corrupt)?;
        Ok(Some(chat))
    }

    fn template(&self) -> Result<ChatTemplate, String> {
        let config: TokenizerConfig =
            serde_json::from_value(Value::Object(self.0.clone())).map_err(|e| e.to_string())?;
        ChatTemplate::from_tokenizer_config(&config).map_err(|e| e.to_string())
    }

    /// The text up to where the model is to answer `user`; `system` tells it beforehand how. Special tokens are in it, for
    /// [`Tokenizer::encode_chat`](crate::Tokenizer::encode_chat).
    ///
    /// # Errors
    ///
    /// [`HostError::Chat`] when the template refuses, as some do a system message.
    pub fn render(&self, system: Option<&str>, user: &str) -> Result<String, HostError> {
        let messages: Vec<_> = system.map(Message::system).into_iter().chain([Message::user(user)]).collect();
        let render =
            |template: ChatTemplate| template.render_messages(&messages, true).map_err(|e| e.to_string());
        self.template().and_then(render).map_err(|reason| HostError::Chat { reason })
    }
}

/// What templates look at, of a `tokenizer_config.json`; a key that is null is not there.
fn keys(bytes: &[u8]) -> serde_json::Result<Map<String, Value>> {
    let mut all: Map<String, Value> = serde_json::from_slice(bytes)?;
    all.retain(|key, value| KEYS.contains(&key.as_str()) && !value.is_null());
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATML: &str = "{%- for m in messages %}\n<|im_start|>{{ m.role }}\n{{ m.content }}{{ eos_token }}\n{% endfor %}\n\
                          {%- if add_generation_prompt %}\n<|im_start|>assistant\n{% endif %}";

    fn load(files: &[(&str, &str)]) -> Result<Option<Chat>, HostError> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Chat::load(dir.path())
    }

    fn config(template: &str) -> String {
        serde_json::json!({
            "eos_token": { "content": "<|im_end|>", "special": true }, "bos_token": null, "model_max_length": 7,
            "chat_template": template,
        })
        .to_string()
    }

    #[test]
    fn messages_stand_in_the_template() {
        let chat = load(&[(CONFIG, &config(CHATML))]).unwrap().unwrap();
        let text = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is a crate?<|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(chat.render(Some("Be brief."), "What is a crate?").unwrap(), text);
        let user = &text[text.find("<|im_start|>user").unwrap()..];
        assert_eq!(chat.render(None, "What is a crate?").unwrap(), user);
        // As a packed model keeps it.
        let kept: Chat = serde_json::from_str(&serde_json::to_string(&chat).unwrap()).unwrap();
        assert_eq!(kept, chat);
        assert!(!kept.0.contains_key("model_max_length"));
    }

    #[test]
    fn a_file_of_its_own_goes_first() {
        let chat = load(&[(CONFIG, &config("no")), (TEMPLATE, "{{ messages[0].content }}{{ eos_token }}")]);
        assert_eq!(chat.unwrap().unwrap().render(None, "Hi").unwrap(), "Hi<|im_end|>");
        assert_eq!(load(&[(TEMPLATE, "!")]).unwrap().unwrap().render(None, "Hi").unwrap(), "!");
        assert_eq!(load(&[]).unwrap(), None);
        assert_eq!(load(&[(CONFIG, r#"{"eos_token": "</s>", "chat_template": null}"#)]).unwrap(), None);
    }

    #[test]
    fn what_is_no_template_or_refuses_is_told() {
        for (file, text) in [(TEMPLATE, "{% for"), (CONFIG, "[]"), (CONFIG, r#"{"chat_template": 7}"#)] {
            let error = load(&[(file, text)]).unwrap_err();
            assert!(error.to_string().contains(file), "{error}");
        }
        let chat = load(&[(TEMPLATE, "{{ raise_exception('no system messages') }}")]).unwrap().unwrap();
        let error = chat.render(Some("Be brief."), "Hi").unwrap_err();
        assert!(error.to_string().contains("no system messages"), "{error}");
    }
}
