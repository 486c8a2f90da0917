"""The tabs of the page, a file each; `build(studio)` makes one, inside its gr.Tab."""
