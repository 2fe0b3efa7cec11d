/**
 * What a spreadsheet would compute where it is a field of a CSV file.
 *
 * @module
 */

/** How a text begins that it takes for a formula. */
export const FORMULA = "^[=+\\-@\\t\\r\\n]";

/** What goes before it, to make it a text. */
export const TEXT_SIGN = "'";
