//! A model that is ready to look at pictures: a manifest, its network, and the reader of its family.
//!
//! A model is taken only when it has shown that it works: one plain picture goes through it, so that a
//! wrong family, size or number of classes is found at the start, and, where the manifest names a check,
//! pictures with expected detections. An int8 model is taken with a check only: engines do not agree on
//! what dynamically quantised weights mean.

use std::path::Path;

use crate::agreement::{Agreement, CheckError, Expected};
use crate::bounds::{Bounds, Detection, suppress};
use crate::families::{self, OutputError};
use crate::manifest::{Family, Manifest, ManifestError};
use crate::network::{Network, NetworkError, Rten, Tensor};
use crate::picture::Picture;

/// Why a model was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The manifest or the file.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The network.
    #[error("{file}: {error}")]
    Network {
        /// The ONNX file.
        file: String,
        /// What the engine said.
        error: NetworkError,
    },
    /// The manifest says another size than the file.
    #[error(
        "{manifest}: input: the model takes {}x{} and the manifest says {}x{}; correct the manifest",
        .model.0, .model.1, .said.0, .said.1
    )]
    InputSize {
        /// The name of the manifest.
        manifest: String,
        /// Width and height by the file.
        model: (usize, usize),
        /// Width and height by the manifest.
        said: (usize, usize),
    },
    /// Its outputs cannot be read.
    #[error("{manifest}: {error}")]
    Outputs {
        /// The name of the manifest.
        manifest: String,
        /// Why.
        error: OutputError,
    },
    /// It is quantised, and nothing shows that the engine means the same by it.
    #[error(
        "{manifest}: the model is quantised to int8, and engines differ in what they make of that; \
         add check = \"expected.json\" with detections of a runtime you trust, or use its fp32 form"
    )]
    Unchecked {
        /// The name of the manifest.
        manifest: String,
    },
    /// The check could not be made.
    #[error("{manifest}: check: {error}")]
    Check {
        /// The name of the manifest.
        manifest: String,
        /// Why.
        error: CheckError,
    },
    /// The check failed.
    #[error(
        "{manifest}: check: {agreement}; correct the preprocessing in the manifest, or do not use this \
         model"
    )]
    Disagrees {
        /// The name of the manifest.
        manifest: String,
        /// How far.
        agreement: Agreement,
    },
}

/// Why a picture could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// The engine failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The outputs cannot be read.
    #[error(transparent)]
    Outputs(#[from] OutputError),
}

/// A model that works.
#[derive(Debug)]
pub struct Model<N = Rten> {
    manifest: Manifest,
    network: N,
}

impl Model {
    /// Reads a manifest, its model file, and the check where there is one.
    ///
    /// # Errors
    /// [`ModelError`], which says where and what to do.
    pub fn open(manifest: &Path) -> Result<Model, ModelError> {
        Model::of(Manifest::read(manifest)?, manifest)
    }

    /// Reads the model file of a manifest that was read from `path`, and the check where there is one.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn of(manifest: Manifest, path: &Path) -> Result<Model, ModelError> {
        let weights = manifest.weights(path)?;
        Model::with(manifest, weights)
    }
}

impl<N: Network> Model<N> {
    /// A model of these weights, which must be those of the manifest.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn with(manifest: Manifest, weights: Vec<u8>) -> Result<Model<N>, ModelError> {
        let name = manifest.name.clone();
        if is_quantised(&weights) && manifest.check.is_none() {
            return Err(ModelError::Unchecked { manifest: name });
        }
        let network = N::load(weights).map_err(|error| ModelError::Network {
            file: manifest.file.display().to_string(),
            error,
        })?;
        let said = (manifest.input.width as usize, manifest.input.height as usize);
        let (width, height) = network.input_size();
        let size = (width.unwrap_or(said.0), height.unwrap_or(said.1));
        if size != said {
            return Err(ModelError::InputSize { manifest: name, model: size, said });
        }
        let mut model = Model { manifest, network };
        model.try_out()?;
        Ok(model)
    }

    /// One grey picture, and the check.
    fn try_out(&mut self) -> Result<(), ModelError> {
        let name = self.manifest.name.clone();
        let grey = Picture::plain(self.manifest.input.width, self.manifest.input.height, [114; 3]);
        match self.look(&grey) {
            Ok(_) => {}
            Err(LookError::Network(error)) => {
                let file = self.manifest.file.display().to_string();
                return Err(ModelError::Network { file, error });
            }
            Err(LookError::Outputs(error)) => {
                return Err(ModelError::Outputs { manifest: name, error });
            }
        }
        let Some(check) = self.manifest.check.clone() else { return Ok(()) };
        let manifest = name;
        let agreement = Expected::read(&check)
            .and_then(|expected| expected.compare(self))
            .map_err(|error| ModelError::Check { manifest: manifest.clone(), error })?;
        if agreement.is_good() {
            Ok(())
        } else {
            Err(ModelError::Disagrees { manifest, agreement })
        }
    }

    /// What the model sees.
    ///
    /// # Errors
    /// [`LookError`]: the engine failed, or its numbers are none.
    pub fn look(&mut self, picture: &Picture) -> Result<Vec<Detection>, LookError> {
        let (outputs, placement) = self.run(picture)?;
        let raw = families::read(&self.manifest, &outputs)?;
        let whole = self.manifest.family == Family::Classifier;
        let found = raw.iter().filter_map(|raw| {
            let bounds =
                if whole { Bounds::ALL } else { placement.back(raw.x1, raw.y1, raw.x2, raw.y2) };
            let bounds = bounds.clamped()?;
            Some(Detection { class: raw.class, score: raw.score, bounds })
        });
        Ok(suppress(found.collect(), self.manifest.overlap_max))
    }

    /// The plain outputs for a picture, and where it lay in the input.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn run(
        &mut self,
        picture: &Picture,
    ) -> Result<(Vec<Tensor>, crate::fit::Placement), NetworkError> {
        let (input, placement) = self.manifest.input.apply(picture);
        let (width, height) = (self.manifest.input.width, self.manifest.input.height);
        Ok((self.network.run(input, width as usize, height as usize)?, placement))
    }

    /// Makes detections from another least score on, above 0 and below 1: all of them, to be judged.
    pub const fn see_from(&mut self, score_min: f32) {
        self.manifest.score_min = score_min;
    }

    /// What is known of it.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// Whether an ONNX file has operators on small integers. Their names stand in it as text.
fn is_quantised(onnx: &[u8]) -> bool {
    const OPERATORS: [&[u8]; 6] = [
        b"ConvInteger",
        b"MatMulInteger",
        b"QLinearConv",
        b"QLinearMatMul",
        b"DynamicQuantizeLinear",
        b"DequantizeLinear",
    ];
    // The first letter decides almost everywhere, so that megabytes of weights take milliseconds.
    let starts = onnx.iter().enumerate().filter(|(_, b)| matches!(b, b'C' | b'M' | b'Q' | b'D'));
    starts.into_iter().any(|(n, _)| OPERATORS.iter().any(|name| onnx[n..].starts_with(name)))
}

#[cfg(test)]
mod tests;
