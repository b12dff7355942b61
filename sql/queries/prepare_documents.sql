-- Texts that are not known yet become documents, in digest order: concurrent runs cannot deadlock. One that was prepared
-- without a signature gets it.
INSERT INTO rerank.document AS d (digest, month, lang, lang_confidence, flags, length, text, terms, signature, marks)
SELECT digest, month, lang, lang_confidence, string_to_array(flags, ' '), length, text, terms, signature, marks
FROM pg_temp.new_document
ORDER BY digest
ON CONFLICT (digest) DO UPDATE SET signature = EXCLUDED.signature, marks = EXCLUDED.marks
WHERE d.signature IS NULL AND EXCLUDED.signature IS NOT NULL
