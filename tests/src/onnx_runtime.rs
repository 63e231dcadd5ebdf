//! ONNX Runtime, the reference: run on one thread in a process of its own, where `make onnx` has
//! installed it.
//!
//! It stands behind the same trait as our own engine, so that both get the same numbers and are read by
//! the same reader: what differs is then the engine alone.

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use vision::network::{Network, NetworkError, Tensor};

use crate::data;

/// The most outputs of a network, and dimensions of an output.
const FEW: u32 = 64;

/// A network in ONNX Runtime. Its weights are given by the path of their file.
pub struct OnnxRuntime {
    child: Child,
    questions: ChildStdin,
    answers: ChildStdout,
}

impl fmt::Debug for OnnxRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnnxRuntime({})", self.child.id())
    }
}

/// How `tests/peers/onnx_runtime.py` is asked for something; `None`, and said, where it is not installed.
#[must_use]
pub fn command(words: &[&str]) -> Option<Command> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let python = root.join("target/onnx/bin/python");
    if !python.exists() {
        data::say("SKIPPED: no ONNX Runtime in target/onnx; make onnx installs it");
        return None;
    }
    let mut command = Command::new(python);
    command.arg(root.join("tests/peers/onnx_runtime.py")).args(words);
    Some(command)
}

/// The weights of [`OnnxRuntime`] for the model in this file.
#[must_use]
pub fn weights(file: &Path) -> Vec<u8> {
    file.as_os_str().as_encoded_bytes().to_vec()
}

/// Writes the model in `file` with 8-bit weights to `out`; `kind`: `int8` or `qdq`. `false`: ONNX
/// Runtime is not there.
///
/// # Panics
/// It is there, and cannot do it.
#[must_use]
pub fn quantise(kind: &str, file: &Path, out: &Path) -> bool {
    let words = [kind, &file.to_string_lossy(), &out.to_string_lossy()];
    let Some(mut command) = command(&words) else { return false };
    let done = command.output().expect("python can be started");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    true
}

impl Network for OnnxRuntime {
    fn load(path: Vec<u8>) -> Result<OnnxRuntime, NetworkError> {
        let file = PathBuf::from(String::from_utf8_lossy(&path).into_owned());
        let unreadable = |why: String| NetworkError::Unreadable(why);
        let mut command = command(&["run", &file.to_string_lossy()])
            .ok_or_else(|| unreadable("it is not installed".to_owned()))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| unreadable(error.to_string()))?;
        let (questions, answers) = child
            .stdin
            .take()
            .zip(child.stdout.take())
            .ok_or_else(|| unreadable("it has no input and output".to_owned()))?;
        Ok(OnnxRuntime { child, questions, answers })
    }

    fn input_size(&self) -> (Option<usize>, Option<usize>) {
        (None, None)
    }

    fn run(
        &mut self,
        input: Vec<f32>,
        width: usize,
        height: usize,
    ) -> Result<Vec<Tensor>, NetworkError> {
        self.ask(&input, width as u32, height as u32)
            .map_err(|error| NetworkError::Failed(error.to_string()))
    }
}

impl OnnxRuntime {
    fn ask(&mut self, input: &[f32], width: u32, height: u32) -> std::io::Result<Vec<Tensor>> {
        let mut question = [width.to_le_bytes(), height.to_le_bytes()].concat();
        question.extend(input.iter().flat_map(|value| value.to_le_bytes()));
        self.questions.write_all(&question)?;
        self.questions.flush()?;
        let outputs = self.number()?.min(FEW);
        (0..outputs).map(|_| self.tensor()).collect()
    }

    fn tensor(&mut self) -> std::io::Result<Tensor> {
        let rank = self.number()?.min(FEW);
        let shape: Vec<usize> =
            (0..rank).map(|_| self.number().map(|n| n as usize)).collect::<Result<_, _>>()?;
        let mut bytes = vec![0; shape.iter().product::<usize>() * 4];
        self.answers.read_exact(&mut bytes)?;
        let data = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value));
        Ok(Tensor { shape, data: data.collect() })
    }

    fn number(&mut self) -> std::io::Result<u32> {
        let mut bytes = [0; 4];
        self.answers.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
}

impl Drop for OnnxRuntime {
    fn drop(&mut self) {
        // It has ended already when its model could not be read.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
