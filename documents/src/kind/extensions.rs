//! Kinds by the ends of file names.

use super::DocumentKind;

/// What a name says about its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Kind(DocumentKind),
    /// The reason, and what to do.
    Refused(&'static str),
    Nothing,
}

const OLD_WORD: &str = "the format .doc of Word 97 is not supported; save the document as docx or pdf";
const OLD_EXCEL: &str = "the format .xls of Excel 97 is not supported; save the workbook as xlsx or csv";
const OLD_POWERPOINT: &str = "the format .ppt of PowerPoint 97 is not supported; save the presentation as pptx or pdf";
const OTHER_OFFICE: &str =
    "the formats rtf, odt, ods, odp, pages, numbers, key and epub are not supported; save as docx or pdf";
const NO_TEXT: &str = "the file is not text: images, sound, video, archives and programs are not supported";

/// The texts that are read as they are: `OpenAI`'s list, and other programming languages and settings.
const TEXTS: &[&str] = &[
    "asm",
    "astro",
    "bash",
    "bat",
    "bib",
    "c",
    "cc",
    "cfg",
    "clj",
    "cmake",
    "conf",
    "cpp",
    "cs",
    "css",
    "cxx",
    "dart",
    "diff",
    "dockerfile",
    "el",
    "eml",
    "env",
    "erl",
    "ex",
    "exs",
    "f90",
    "fs",
    "go",
    "gradle",
    "graphql",
    "groovy",
    "h",
    "hcl",
    "hpp",
    "hs",
    "ics",
    "ini",
    "ipynb",
    "java",
    "jl",
    "js",
    "json",
    "json5",
    "jsonl",
    "jsx",
    "kt",
    "kts",
    "less",
    "lisp",
    "log",
    "lua",
    "m",
    "mjs",
    "ml",
    "ndjson",
    "nim",
    "nix",
    "pas",
    "patch",
    "php",
    "pl",
    "pm",
    "po",
    "properties",
    "proto",
    "ps1",
    "py",
    "pyi",
    "r",
    "rb",
    "rs",
    "rst",
    "sass",
    "scala",
    "scss",
    "sh",
    "sql",
    "srt",
    "svelte",
    "svg",
    "swift",
    "tex",
    "text",
    "tf",
    "toml",
    "ts",
    "tsx",
    "txt",
    "vb",
    "vcf",
    "vtt",
    "vue",
    "xml",
    "xsd",
    "xsl",
    "yaml",
    "yml",
    "zig",
    "zsh",
];

const NOT_TEXTS: &[&str] = &[
    "7z", "aac", "avi", "avif", "bin", "bmp", "bz2", "class", "db", "dll", "dmg", "exe", "flac", "gif", "gz", "heic",
    "ico", "iso", "jar", "jpeg", "jpg", "m4a", "mkv", "mov", "mp3", "mp4", "o", "ogg", "otf", "parquet", "png", "psd",
    "pyc", "rar", "so", "sqlite", "tar", "tgz", "tif", "tiff", "ttf", "wasm", "wav", "webm", "webp", "woff", "woff2",
    "xz", "zip", "zst",
];

/// What the end of a name says.
pub(super) fn named(filename: &str) -> Named {
    let Some((_, extension)) = filename.rsplit_once('.') else { return Named::Nothing };
    let extension = extension.to_ascii_lowercase();
    match extension.as_str() {
        "md" | "markdown" | "mdx" => Named::Kind(DocumentKind::Markdown),
        "csv" => Named::Kind(DocumentKind::Csv),
        "tsv" | "tab" => Named::Kind(DocumentKind::Tsv),
        "html" | "htm" | "xhtml" => Named::Kind(DocumentKind::Html),
        "docx" | "docm" | "dotx" => Named::Kind(DocumentKind::Docx),
        "pptx" | "pptm" | "ppsx" => Named::Kind(DocumentKind::Pptx),
        "xlsx" | "xlsm" | "xltx" => Named::Kind(DocumentKind::Xlsx),
        "pdf" => Named::Kind(DocumentKind::Pdf),
        "doc" | "dot" => Named::Refused(OLD_WORD),
        "xls" | "xlt" | "xlsb" => Named::Refused(OLD_EXCEL),
        "ppt" | "pps" => Named::Refused(OLD_POWERPOINT),
        "rtf" | "odt" | "ods" | "odp" | "pages" | "numbers" | "key" | "epub" => Named::Refused(OTHER_OFFICE),
        other if NOT_TEXTS.contains(&other) => Named::Refused(NO_TEXT),
        other if TEXTS.contains(&other) => Named::Kind(DocumentKind::Text),
        _ => Named::Nothing,
    }
}
