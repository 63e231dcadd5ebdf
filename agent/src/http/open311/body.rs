//! The body of `POST requests`: the fields of a form, and perhaps a photo. Nothing longer than is allowed is
//! ever held.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use domain::open311::Fault;
use multer::{Constraints, Multipart, SizeLimit};

/// All fields of a form together.
const FIELDS_MAX: usize = 64 * 1024;
/// Fields of a form.
const COUNT_MAX: usize = 100;

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) fields: Vec<(String, String)>,
    pub(super) photo: Option<Bytes>,
}

/// Reads a body of the kind that its headers say.
pub(super) async fn read(headers: &HeaderMap, body: Body, photo_max: u64) -> Result<Form, Fault> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/x-www-form-urlencoded" => {
            let body = to_bytes(body, FIELDS_MAX).await.map_err(|_| too_long(FIELDS_MAX as u64))?;
            Ok(Form { fields: pairs(&body), photo: None })
        }
        "multipart/form-data" => {
            let boundary = multer::parse_boundary(kind)
                .map_err(|error| Fault::new(400, format!("the form cannot be read: {error}")))?;
            parts(body, boundary, photo_max).await
        }
        other => {
            let why = format!(
                "{other:?} is no form; send application/x-www-form-urlencoded or multipart/form-data"
            );
            Err(Fault::new(415, why))
        }
    }
}

/// `a=b&c=d`, from a body or a query.
pub(super) fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().take(COUNT_MAX).collect()
}

fn too_long(max: u64) -> Fault {
    Fault::new(413, format!("the report is longer than {max} bytes, or broke off"))
}

async fn parts(body: Body, boundary: String, photo_max: u64) -> Result<Form, Fault> {
    let whole = photo_max + 2 * FIELDS_MAX as u64;
    let sizes = SizeLimit::new().whole_stream(whole).per_field(photo_max);
    let constraints = Constraints::new().size_limit(sizes);
    let mut multipart = Multipart::with_constraints(body.into_data_stream(), boundary, constraints);
    let mut form = Form::default();
    let mut left = FIELDS_MAX;
    loop {
        let field = match multipart.next_field().await {
            Ok(Some(field)) => field,
            Ok(None) => return Ok(form),
            Err(error) => return Err(broken(&error, photo_max)),
        };
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = field.file_name().is_some();
        let bytes = field.bytes().await.map_err(|error| broken(&error, photo_max))?;
        if is_file {
            // Programs send the field of a photo that nobody took.
            if bytes.is_empty() {
                continue;
            }
            if form.photo.replace(bytes).is_some() {
                return Err(Fault::new(400, "more than one photo; send one"));
            }
            continue;
        }
        left = left
            .checked_sub(name.len() + bytes.len())
            .ok_or_else(|| too_long(FIELDS_MAX as u64))?;
        if form.fields.len() == COUNT_MAX {
            return Err(Fault::new(400, format!("more than {COUNT_MAX} fields")));
        }
        form.fields.push((name, String::from_utf8_lossy(&bytes).into_owned()));
    }
}

fn broken(error: &multer::Error, photo_max: u64) -> Fault {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => {
            Fault::new(413, format!("the photo is longer than {photo_max} bytes"))
        }
        other => Fault::new(400, format!("the form cannot be read: {other}")),
    }
}
