"""Operations: what people do by hand and what runs by night."""
