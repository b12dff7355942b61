-- Texts that are not known yet become documents, in digest order: concurrent runs cannot deadlock.
INSERT INTO rerank.document (digest, month, lang, lang_confidence, flags, length, text, terms)
SELECT digest, month, lang, lang_confidence, string_to_array(flags, ' '), length, text, terms
FROM pg_temp.new_document
ORDER BY digest
ON CONFLICT (digest) DO NOTHING
