-- Nobody forgets an article while its text is made into a document.
LOCK TABLE rerank.document IN ROW EXCLUSIVE MODE
