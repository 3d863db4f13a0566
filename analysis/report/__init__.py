"""The HTML report and its template."""
