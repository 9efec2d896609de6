"""How commands print: tables, documents, progress, colours, errors and advice."""
