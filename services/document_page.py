"""The page at `/` that shows `/docs.json`: BentoML's Swagger UI without the tracking that BentoML's own page loads.

Nothing is fetched from elsewhere, and the browser is told to fetch nothing: a script of somebody else's on this page
could ask the service in its reader's name.
"""

__all__ = ["PAGE", "PAGE_HEADERS"]

PAGE = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <title>Purchase Intent</title>
    <link rel="stylesheet" href="./static_content/swagger-ui.css">
    <link rel="stylesheet" href="./static_content/index.css">
    <link rel="icon" type="image/png" href="./static_content/favicon-light-32x32.png">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="./static_content/swagger-ui-bundle.js"></script>
    <script src="./static_content/swagger-ui-standalone-preset.js"></script>
    <script src="./static_content/swagger-initializer.js"></script>
  </body>
</html>
"""
PAGE_HEADERS = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
"""Swagger UI sets styles and shows pictures that stand in its text; scripts are those of this address alone."""
