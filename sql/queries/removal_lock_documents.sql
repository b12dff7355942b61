-- Nobody ties a revision or a refused pair to a document while it is found out which ones nobody else has.
LOCK TABLE rerank.document IN EXCLUSIVE MODE
