//! The condition "this row's key is in the share" as a function that the query engine can push down.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use model::Share;

use crate::keys::hashes_of;

/// `in_share(k1, k2, ...)`: true for the rows whose key, in these types, is in the share.
#[derive(Debug)]
struct InShare {
    share: Share,
    types: Vec<DataType>,
    signature: Signature,
}

/// The condition over key columns, which are compared in the types that the table has.
pub(crate) fn in_share(share: Share, key: Vec<(Expr, DataType)>) -> Expr {
    let (arguments, types): (Vec<_>, Vec<_>) = key.into_iter().unzip();
    let signature = Signature::any(arguments.len(), Volatility::Immutable);
    ScalarUDF::new_from_impl(InShare { share, types, signature }).call(arguments)
}

impl PartialEq for InShare {
    fn eq(&self, other: &Self) -> bool {
        self.share == other.share && self.types == other.types
    }
}

impl Eq for InShare {}

impl std::hash::Hash for InShare {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.types.hash(state);
    }
}

impl ScalarUDFImpl for InShare {
    fn name(&self) -> &'static str {
        "in_share"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        // Literal arguments have one value for all rows.
        let columns = arguments.args.into_iter().map(|value| value.into_array(arguments.number_rows));
        let columns = columns.zip(&self.types).map(|(column, to)| Ok(cast(&column?, to)?));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_, DataFusionError>>()?;
        let is_in: BooleanArray = hashes_of(&columns)?.into_iter().map(|hash| Some(self.share.holds(hash))).collect();
        Ok(ColumnarValue::Array(Arc::new(is_in)))
    }
}
