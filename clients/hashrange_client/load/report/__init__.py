"""The report of runs as one HTML file: charts as inline SVG, style and a few lines of script within. Nothing
is fetched.

`charts` draws, `sections` says what of a run is drawn, `page` puts it together with `style`.
"""
