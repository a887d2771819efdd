"""Vector code: panels of rows in lanes, scored and added up in registers."""
